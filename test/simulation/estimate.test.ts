// The flow model of `core/estimate` beside the swarm of pieces: of each shape of network the estimated end is
// within a tenth of the simulated one. Who makes the swarm faster adapts the constants of fetch-time.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fetchTime } from "../../core/estimate/fetch-time.ts";
import { Broadcast, type BroadcastPlan, MBIT, REGION } from "../../simulator/broadcast.ts";

const DEVIATION_MAX = 0.1;
const MIB = 1024 * 1024;

/** Runs the swarm of pieces and compares its last machine with the estimate. */
function check(name: string, change: Partial<BroadcastPlan>): void {
  test(`the estimate is within a tenth of the swarm of pieces: ${name}`, () => {
    const plan = { ...REGION, peers: 100, pieces: 200, ...change };
    const broadcast = new Broadcast(plan);
    const { lastMs, isWhole } = broadcast.run();
    assert(isWhole);
    const { fetchedMs } = fetchTime({
      region: "r",
      machines: plan.peers,
      replicateBytes: 0,
      fetchBytes: plan.pieces * plan.pieceBytes,
      pieceBytes: plan.pieceBytes,
      wanRate: Number.POSITIVE_INFINITY,
      relayRate: plan.seedMbit * MBIT,
      upRates: broadcast.first.reduce((sum, { host }) => sum + host.upRate, 0),
      downRateMin: plan.mbit * MBIT,
    });
    const deviation = fetchedMs / lastMs - 1;
    const said = `estimated ${Math.round(fetchedMs)} ms, simulated ${Math.round(lastMs)} ms`;
    assert(Math.abs(deviation) <= DEVIATION_MAX, said);
  });
}

check("100 machines alike", {});
check("1,000 machines", { peers: 1_000, pieces: 30 });
check("a relay with ten times a machine's NIC", { seedMbit: 10_000 });
check("a relay with less than a machine's NIC", { seedMbit: 300, pieces: 100 });
check("machines of 100 Mbit/s", { mbit: 100, seedMbit: 1_000, pieces: 100 });
check("pieces of 1 MiB", { pieceBytes: MIB, pieces: 100 });
check("pieces of 4 MiB", { pieceBytes: 4 * MIB, pieces: 60 });
check("large pieces from fast relays", { pieceBytes: 8 * MIB, pieces: 128, seedMbit: 20_000 });
check("every third machine uploads at a quarter", { slowEvery: 3 });
check("all machines upload at a quarter, beside a fast relay", { slowEvery: 1, seedMbit: 10_000 });
check("a pack that grows", { grows: 1 });
check("a pack that grows more slowly than a NIC", {
  grows: 1,
  seedMbit: 500,
  pieceBytes: MIB,
  pieces: 100,
});
