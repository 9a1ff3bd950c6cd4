// Agents that listen nowhere: relay and agents as processes, and every piece goes from agent to agent over
// a WebRTC data channel. The relay has none of the pieces; it only brings the agents together.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { DiskPieceStore } from "../../runtime/peer/disk-piece-store.ts";
import { put } from "../contracts/piece-store-contract.ts";
import { samplePieces } from "../contracts/sample-pieces.ts";
import { type StartedProgram, startProgram } from "../lab/start-program.ts";
import { until } from "../lab/until.ts";
import { type RelayProcess, RelayWorld } from "./relay-process.ts";
import type { RelayLine } from "./scripted-control-plane.ts";

const PACK = "b-00000000000000ca.1";
const sample = samplePieces(new Array<number>(24).fill(300_000));
const total = sample.pieces.reduce((sum, piece) => sum + piece.length, 0);

interface Ready {
  readonly id: string;
  readonly swarm?: string;
  readonly metrics: number;
}

type AgentProcess = StartedProgram<Ready> & { readonly folder: string };

/** Processes that a process has started and that still run. */
function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Payload bytes that an agent has received, by kind of peer. */
async function received({ ready }: AgentProcess): Promise<{ relay: number; peer: number }> {
  const text = await (await fetch(`http://127.0.0.1:${ready.metrics}/metrics`)).text();
  const of = (source: string): number => {
    const line = new RegExp(`^millrace_swarm_received\\S*source="${source}"\\S* (\\d+)`, "m");
    return Number(line.exec(text)?.[1] ?? Number.NaN);
  };
  return { relay: of("relay"), peer: of("peer") };
}

describe("agents that listen nowhere", { timeout: 120_000 }, () => {
  let world: RelayWorld;
  let relay: RelayProcess;
  let line: RelayLine;
  const agents: AgentProcess[] = [];

  /** An agent whose disk knows the pack's rows, and has all pieces where it `seeds`. */
  async function agent(name: string, seeds: boolean, ...flags: string[]): Promise<AgentProcess> {
    const root = join(world.root, name);
    const folder = join(root, ".packs", PACK);
    const store = await DiskPieceStore.open(folder);
    store.extend(sample.rows);
    if (seeds)
      for (const [piece, content] of sample.pieces.entries()) await put(store, piece, content);
    await store.close();
    const program = await startProgram<Ready>(
      "agent",
      [
        ...["--join", relay.address, "--region", "eu", "--root", root, "--listen", "none"],
        ...["--metrics-port", "0", ...flags],
      ],
      { MILLRACE_LOG: "warn" },
    );
    const started = { ...program, folder };
    agents.push(started);
    return started;
  }

  before(async () => {
    world = await RelayWorld.start();
    relay = await world.relay({ name: "relay" });
    line = await world.control.line(relay.id);
    const order = { id: "o-1", epoch: 1, build: "b-1", attempt: 1, pack: PACK, service: "web" };
    const forAll = { targets: {}, excludedRegions: [], traceparent: "", urgent: false };
    line.send({ $case: "order", order: { ...order, ...forAll } });
  });
  after(async () => {
    await Promise.all(agents.map((one) => one.end("SIGKILL")));
    await world.stop();
  });

  test("get every piece from each other", async () => {
    const seed = await agent("seed", true);
    assert.equal(seed.ready.swarm, undefined, "it says that it listens");
    const others = [await agent("second", false), await agent("third", false)];
    for (const other of others) {
      await until("all pieces are there", async () => (await received(other)).peer >= total);
      // A block that is late is had from another peer, too, so it may be more than all of them.
      assert.equal((await received(other)).relay, 0);
    }
    const callProcesses = agents.flatMap(({ pid }) => childrenOf(pid));
    assert.equal(callProcesses.length, 3, "each agent has one process of calls");
    for (const one of agents) assert.deepEqual(await one.end("SIGTERM"), [0, null]);
    assert.deepEqual(callProcesses.filter(runs), [], "processes of calls outlive their agents");
    for (const { folder } of others) {
      const store = await DiskPieceStore.open(folder);
      for (const [piece, content] of sample.pieces.entries()) {
        const target = Buffer.alloc(content.length);
        await store.read(piece, 0, target);
        assert(target.equals(content), `piece ${piece}`);
      }
      await store.close();
    }
  });

  test("of which one is killed leave no process of calls behind", async () => {
    await agent("fourth", true);
    const fifth = await agent("fifth", false);
    await until("all pieces are there", async () => (await received(fifth)).peer >= total);
    const [calls] = childrenOf(fifth.pid) as [number];
    await fifth.end("SIGKILL");
    await until("the process of calls has ended", () => !runs(calls));
  });

  test("and take no calls have no way to each other, and start no process for it", async () => {
    await agent("sixth", true);
    const deaf = await agent("seventh", false, "--no-webrtc");
    // Nobody would believe who it is: its id is from before ids had keys.
    mkdirSync(join(world.root, "old"));
    writeFileSync(join(world.root, "old", "agent.json"), '{"id":"agent-0123456789ab"}');
    const old = await agent("old", false);
    assert.equal(old.ready.id, "agent-0123456789ab");
    const eighth = await agent("eighth", false);
    await until("all pieces are there", async () => (await received(eighth)).peer >= total);
    for (const one of [deaf, old]) {
      assert.deepEqual(await received(one), { relay: 0, peer: 0 });
      assert.deepEqual(childrenOf(one.pid), []);
    }
  });
});
