// One relay gives a pack to some agents on loopback, each peer in a process of its own with a disk
// store: megabytes a second over all receivers, memory of a peer, and how much came from the relay.
// Figures are of this machine's cores and disk as much as of the code.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { blake3 } from "@napi-rs/blake-hash";
import { PIECE_ROW_BYTES, writePieceRow } from "../core/release/piece-table.ts";
import { DiskPieceStore } from "../runtime/peer/disk-piece-store.ts";
import { SwarmNode } from "../runtime/peer/swarm-node.ts";

const MIB = 1024 * 1024;
const BLOCK_BYTES = 256 * 1024;
const PACK = "b-0123456789abcdef.1";

interface Job {
  readonly peerId: string;
  readonly role: "relay" | "agent";
  readonly directory: string;
  readonly pieces: number;
  readonly pieceBytes: number;
}

/** Runs it and gives the figures; `mebibytes` of payload to `agents` receivers. */
async function swarmLoopback(mebibytes: number, agents: number) {
  const root = mkdtempSync(join(tmpdir(), "millrace-bench-swarm-"));
  const pieceBytes = Math.max(BLOCK_BYTES, Math.ceil(mebibytes / 1024) * MIB);
  const pieces = Math.ceil((mebibytes * MIB) / pieceBytes);
  const jobs = Array.from({ length: agents + 1 }, (_, index): Job => {
    const role = index === 0 ? "relay" : "agent";
    const directory = join(root, `${role}-${index}`);
    return { peerId: `${role}-${index}`, role, directory, pieces, pieceBytes };
  });
  const children = jobs.map((job) => fork(import.meta.filename, ["--peer", JSON.stringify(job)]));
  try {
    const roster = await Promise.all(
      children.map(async (child, index) => {
        const [{ address }] = (await once(child, "message")) as [{ address: string }];
        return { peerId: jobs[index]?.peerId, role: jobs[index]?.role, address };
      }),
    );
    const startedAt = performance.now();
    for (const child of children.slice(1)) child.send(roster);
    const messages = await Promise.all(children.slice(1).map((child) => once(child, "message")));
    const seconds = (performance.now() - startedAt) / 1000;
    return figures(
      messages.map(([report]) => report as Report),
      pieces * pieceBytes,
      seconds,
    );
  } finally {
    for (const child of children) child.kill("SIGKILL");
    rmSync(root, { recursive: true });
  }
}

function figures(reports: readonly Report[], packBytes: number, seconds: number) {
  const payload = reports.length * packBytes;
  const fromRelay = reports.reduce((sum, one) => sum + one.fromRelay, 0);
  const fromPeers = reports.reduce((sum, one) => sum + one.fromPeers, 0);
  return {
    all_s: seconds,
    total_mb_per_s: payload / 1e6 / seconds,
    received_ratio: (fromRelay + fromPeers) / payload,
    relay_ratio: fromRelay / payload,
    agent_rss_mb: Math.max(...reports.map((one) => one.rssBytes)) / 1e6,
    agent_rss_growth_mb: Math.max(...reports.map((one) => one.rssBytes - one.baseRssBytes)) / 1e6,
  };
}

interface Report {
  readonly fromRelay: number;
  readonly fromPeers: number;
  readonly rssBytes: number;
  readonly baseRssBytes: number;
}

async function runPeer(job: Job): Promise<void> {
  const store = await DiskPieceStore.open(job.directory);
  const content = contentOf(job);
  const rows = new Uint8Array(job.pieces * PIECE_ROW_BYTES);
  for (let piece = 0; piece < job.pieces; piece += 1) {
    const { pieceBytes } = job;
    const shared = { encodedBytes: pieceBytes, plainBytes: pieceBytes };
    const digest = blake3(content(piece));
    writePieceRow(
      { digest, ...shared, kind: "data", codec: "stored" },
      rows,
      piece * PIECE_ROW_BYTES,
    );
  }
  const base = process.memoryUsage().rss;
  const node = await SwarmNode.listen({ ...job, host: "127.0.0.1", port: 0 });
  const swarm = node.join(PACK, store, "all");
  swarm.extend(rows);
  if (job.role === "relay") await seed(job, store, content, (piece) => swarm.stored(piece));
  process.send?.({ address: node.address });
  const [roster] = await once(process, "message");
  let peak = process.memoryUsage().rss;
  const sampler = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 50);
  swarm.introduce(roster);
  await swarm.whenHas([...Array(job.pieces).keys()]);
  clearInterval(sampler);
  process.send?.({ ...swarm.bytes, rssBytes: peak, baseRssBytes: base });
}

async function seed(
  job: Job,
  store: DiskPieceStore,
  content: (piece: number) => Buffer,
  stored: (piece: number) => void,
): Promise<void> {
  for (let piece = 0; piece < job.pieces; piece += 1) {
    const bytes = content(piece);
    for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
      await store.write(piece, at, bytes.subarray(at, at + BLOCK_BYTES));
    }
    await store.finish(piece);
    stored(piece);
  }
}

/** The same bytes in every process: one block of memory, marked with the piece's number. */
function contentOf(job: Job): (piece: number) => Buffer {
  const bytes = Buffer.alloc(job.pieceBytes, "0123456789abcdef-millrace");
  return (piece) => {
    bytes.writeUInt32LE(piece);
    return bytes;
  };
}

const { values } = parseArgs({
  options: {
    json: { type: "boolean" },
    mebibytes: { type: "string", default: "512" },
    agents: { type: "string", default: "5" },
    peer: { type: "string" },
  },
});
if (values.peer !== undefined) {
  await runPeer(JSON.parse(values.peer));
} else {
  const result = await swarmLoopback(Number(values.mebibytes), Number(values.agents));
  console.log(JSON.stringify({ bench: "swarm-loopback", figures: result }));
}
