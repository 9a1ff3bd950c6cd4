// Broadcasts in virtual time: how near the last peer comes to the bound, whatever hosts and losses there
// are, and that a run is the same each time. Times are virtual, so they are exact.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Broadcast, type BroadcastPlan, REGION, SHAPED } from "../../simulator/broadcast.ts";

/** Runs it; the last peer is to be within `ratioMax` of the bound, newcomers of F/d. */
function check(name: string, change: Partial<BroadcastPlan>, ratioMax: number): void {
  test(`${name}: within ${ratioMax} of the bound`, () => {
    const { ratio, newcomerRatio, received } = new Broadcast({ ...SHAPED, ...change }).run();
    assert(ratio <= ratioMax, `the last peer took ${ratio} of the bound`);
    assert(newcomerRatio <= ratioMax, `the last newcomer took ${newcomerRatio} of its bound`);
    assert(received <= 1.02, `${received} of the bytes that were needed`);
  });
}

check("16 peers alike", {}, 1.15);
check("every third peer uploads at a quarter", { slowEvery: 3 }, 1.25);
check("the seed uploads at half", { seedMbit: 50 }, 1.15);
check("a quarter of the peers dies half-way and is replaced", { killed: 0.25 }, 1.3);
check("a round trip of 10 ms", { roundTripMs: 10 }, 1.2);
check("a round trip of 50 ms", { roundTripMs: 50 }, 1.2);
check("a round trip of 200 ms and a file of 100 of them", { roundTripMs: 200, pieces: 976 }, 1.5);
check("200 peers that know 16 each", { ...REGION, peers: 200, pieces: 300 }, 1.25);

// As they come little by little, an uplink is busy only where several neighbours take some of it at a time.
const LARGE = { ...REGION, peers: 40, pieceBytes: 4 * 1024 * 1024, seedMbit: 10_000 };
check("pieces of many blocks", { ...LARGE, pieces: 200 }, 1.2);
check("pieces of three blocks", { ...LARGE, pieceBytes: 1024 * 1024, pieces: 200 }, 1.25);
check("pieces of many blocks, a round trip of 20 ms", { ...LARGE, pieces: 60, roundTripMs: 20 }, 4);

// Sources of large pieces are left half-way, offered again what they lost, and asked anew.
for (const change of [
  { slowEvery: 3 },
  { slowEvery: 2, mbit: 1000, seedMbit: 1000 },
  { slowEvery: 3, killed: 0.25 },
  { roundTripMs: 50 },
]) {
  for (const seed of [1, 2, 3]) {
    test(`pieces of many blocks, ${JSON.stringify(change)}, seed ${seed}: all are whole, nobody is blamed`, () => {
      const large = { pieces: 64, pieceBytes: 4 * 1024 * 1024 };
      const broadcast = new Broadcast({ ...SHAPED, ...large, ...change, seed });
      assert(broadcast.run().isWhole);
      assert.deepEqual(broadcast.world.disconnects, []);
    });
  }
}

for (const [name, change, ratioMax] of [
  ["16 peers", {}, 1.15],
  ["200 peers that know 16 each", { ...REGION, peers: 200, pieces: 300 }, 1.2],
] as const) {
  test(`a file that grows at the seed spreads while it does: ${name}`, () => {
    const broadcast = new Broadcast({ ...SHAPED, ...change, grows: 1 });
    const { cutThroughRatio, isWhole } = broadcast.run();
    assert(isWhole);
    assert(cutThroughRatio <= ratioMax, `${cutThroughRatio} of the last byte and a piece's way`);
  });
}

test("of racks of 20 machines that say where they stand each takes a piece from outside six times", () => {
  const plan = { ...REGION, peers: 100, pieces: 100, racks: 5 };
  const { rackCopies, received, isWhole } = new Broadcast(plan).run();
  assert(isWhole);
  assert(received <= 1.02, `${received} of the bytes that were needed`);
  // Where racks are not known it is 16 times: a piece comes from four fifths of the others, to each of 20.
  assert(rackCopies <= 7, `a piece came into a rack ${rackCopies} times`);
  assert(rackCopies >= 1, `${rackCopies}: what came from outside was not counted`);
});

test("a relay leaves it to agents to pass on a small pack", () => {
  const fast = { mbit: 1000, seedMbit: 1000 };
  const { seedCopies } = new Broadcast({ ...SHAPED, ...fast, pieces: 5, peers: 12 }).run();
  assert(seedCopies <= 3, `the relay gave ${seedCopies} copies to 12 agents`);
});

test("fault 34: the same seed gives the same trace, another seed another", () => {
  const run = (seed: number) =>
    new Broadcast({ ...SHAPED, pieces: 60, killed: 0.25, slowEvery: 3, seed }).run().trace;
  assert.equal(run(1), run(1));
  assert.notEqual(run(1), run(2));
});

test("host by host it takes about as long as event by event, and the same each time", () => {
  const plan = { ...REGION, peers: 60, pieces: 200 };
  const byEvent = new Broadcast({ ...plan, byHost: 0 }).run();
  const byHost = new Broadcast(plan).run();
  assert(byEvent.isWhole && byHost.isWhole);
  assert(Math.abs(byHost.ratio - byEvent.ratio) < 0.03, `${byHost.ratio} for ${byEvent.ratio}`);
  assert.equal(new Broadcast(plan).run().trace, byHost.trace);
});
