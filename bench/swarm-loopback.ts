// One relay gives a pack to some agents on loopback, each peer in a process of its own with a disk
// store: megabytes a second over all receivers, memory of a peer, and how much came from the relay.
// With `--by calls` they listen nowhere, and call each other over WebRTC; the parent is who signals.
// Figures are of this machine's cores and disk as much as of the code.
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { blake3 } from "@napi-rs/blake-hash";
import { PIECE_ROW_BYTES, writePieceRow } from "../core/release/piece-table.ts";
import type { PeerSignal } from "../proto/gen/millrace/v1/fleet.ts";
import { DiskPieceStore } from "../runtime/peer/disk-piece-store.ts";
import { newIdentity } from "../runtime/peer/peer-identity.ts";
import type { Introduction } from "../runtime/peer/swarm.ts";
import { SwarmNode } from "../runtime/peer/swarm-node.ts";
import { SigningKey } from "../runtime/signing-key.ts";
import { WebRtcTransport } from "../runtime/webrtc/web-rtc-transport.ts";

const MIB = 1024 * 1024;
const BLOCK_BYTES = 256 * 1024;
const PACK = "b-0123456789abcdef.1";

interface Job {
  readonly peerId: string;
  /** Its private key. */
  readonly secret: string;
  readonly role: "relay" | "agent";
  readonly directory: string;
  readonly pieces: number;
  readonly pieceBytes: number;
  readonly by: string;
}

/** What peers and their parent say to each other. */
type Message =
  | { readonly kind: "signal"; readonly signal: PeerSignal }
  | { readonly kind: "ready"; readonly address: string }
  | { readonly kind: "roster"; readonly roster: readonly Introduction[] }
  | { readonly kind: "done"; readonly report: Report };

/** Runs it and gives the figures; `mebibytes` of payload to `agents` receivers. */
async function swarmLoopback(mebibytes: number, agents: number, by: string) {
  const root = mkdtempSync(join(tmpdir(), "millrace-bench-swarm-"));
  const pieceBytes = Math.max(BLOCK_BYTES, Math.ceil(mebibytes / 1024) * MIB);
  const pieces = Math.ceil((mebibytes * MIB) / pieceBytes);
  const jobs = Array.from({ length: agents + 1 }, (_, index): Job => {
    const role = index === 0 ? "relay" : "agent";
    const directory = join(root, `${role}-${index}`);
    const { id: peerId, key } = newIdentity(`${role}-${index}`);
    return { peerId, secret: key.secret, role, directory, pieces, pieceBytes, by };
  });
  const children = jobs.map((job) =>
    fork(import.meta.filename, ["--peer", JSON.stringify(job)], { serialization: "advanced" }),
  );
  for (const [index, child] of children.entries()) {
    child.on("message", (message: Message) => {
      if (message.kind !== "signal") return;
      const signal = { ...message.signal, from: jobs[index]?.peerId ?? "" };
      children[jobs.findIndex(({ peerId }) => peerId === signal.to)]?.send({ ...message, signal });
    });
  }
  try {
    const roster = await Promise.all(
      jobs.map(async ({ peerId, role }, index): Promise<Introduction> => {
        const { address } = await heard(children[index], "ready");
        return { peerId, role, address, isCallable: by === "calls" };
      }),
    );
    const startedAt = performance.now();
    const agentsOnly = children.slice(1);
    for (const child of agentsOnly) child.send({ kind: "roster", roster });
    const messages = await Promise.all(agentsOnly.map((child) => heard(child, "done")));
    const seconds = (performance.now() - startedAt) / 1000;
    return figures(
      messages.map(({ report }) => report),
      pieces * pieceBytes,
      seconds,
    );
  } finally {
    for (const child of children) child.kill("SIGKILL");
    rmSync(root, { recursive: true });
  }
}

/** The next message of that kind. */
function heard<Kind extends Message["kind"]>(
  from: ChildProcess | NodeJS.Process | undefined,
  kind: Kind,
): Promise<Extract<Message, { kind: Kind }>> {
  return new Promise((resolve) => {
    const hear = (message: Message): void => {
      if (message.kind !== kind) return;
      from?.off("message", hear);
      resolve(message as Extract<Message, { kind: Kind }>);
    };
    from?.on("message", hear);
  });
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
    agent_calls_rss_mb: Math.max(...reports.map((one) => one.callsRssBytes)) / 1e6,
    agent_rss_growth_mb: Math.max(...reports.map((one) => one.rssBytes - one.baseRssBytes)) / 1e6,
  };
}

interface Report {
  readonly fromRelay: number;
  readonly fromPeers: number;
  readonly rssBytes: number;
  readonly baseRssBytes: number;
  /** Peak of the process of calls; 0: there was none. */
  readonly callsRssBytes: number;
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
  const calls = job.by === "calls" ? callsOf(job) : undefined;
  const { peerId, role } = job;
  const node = await SwarmNode.listen({
    peerId,
    role,
    ...(calls === undefined ? { host: "127.0.0.1" } : { transports: [calls] }),
  });
  const swarm = node.join(PACK, store, "all");
  swarm.extend(rows);
  if (job.role === "relay") await seed(job, store, content, (piece) => swarm.stored(piece));
  tell({ kind: "ready", address: node.address });
  const { roster } = await heard(process, "roster");
  let peak = process.memoryUsage().rss;
  const sampler = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 50);
  swarm.introduce(roster);
  await swarm.whenHas([...Array(job.pieces).keys()]);
  clearInterval(sampler);
  const callsRssBytes = calls?.pid === undefined ? 0 : peakRssBytes(calls.pid);
  const report = { ...swarm.bytes, rssBytes: peak, baseRssBytes: base, callsRssBytes };
  tell({ kind: "done", report });
}

function callsOf({ peerId, secret }: Job): WebRtcTransport {
  const silent = { debug: () => {}, info: () => {}, warn: () => {} };
  const calls = WebRtcTransport.create({
    identity: { id: peerId, key: SigningKey.read(secret) },
    isLoopbackOnly: true,
    log: silent,
    send: (signal) => tell({ kind: "signal", signal }),
  });
  if (calls === undefined) throw new Error("@roamhq/wrtc is not installed");
  process.on("message", (message: Message) => {
    if (message.kind === "signal") calls.heard(message.signal);
  });
  return calls;
}

function peakRssBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

function tell(message: Message): void {
  process.send?.(message);
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
    by: { type: "string", default: "tcp" },
    peer: { type: "string" },
  },
});
if (values.peer !== undefined) {
  await runPeer(JSON.parse(values.peer));
} else {
  const { mebibytes, agents, by } = values;
  const result = await swarmLoopback(Number(mebibytes), Number(agents), by);
  console.log(JSON.stringify({ bench: "swarm-loopback", figures: result }));
}
