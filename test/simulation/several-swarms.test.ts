// Several broadcasts at once on the same hosts, in virtual time: the urgent one takes about as long as it
// would alone, the others what is left and are not forgotten, and the uplinks stay busy.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FIVE, type SeveralPlan, severalBroadcasts } from "../../simulator/several-broadcasts.ts";

function check(name: string, change: Partial<SeveralPlan>, overAlone: number, busyMin = 0): void {
  test(`five swarms, ${name}: the urgent one within ${overAlone} of its time alone`, () => {
    const plan = { ...FIVE, ...change };
    const [alone = 0] = severalBroadcasts({ ...plan, swarms: 1 }).ratios;
    const { ratios, busy, world } = severalBroadcasts(plan);
    const [urgent = Infinity, ...others] = ratios;
    assert(urgent <= overAlone * alone, `${urgent} of the bound, ${alone} alone`);
    assert(Math.max(...others) <= 1.35 * FIVE.swarms, `the others took ${others} of its bound`);
    assert(busy >= busyMin, `uplinks were busy for ${busy} of the time`);
    assert.deepEqual(world.disconnects, []);
  });
}

check("128 MiB each", { pieces: 512 }, 1.3, 0.85);
check("64 MiB each", {}, 1.3, 0.8);
check("a round trip of 20 ms", { roundTripMs: 20 }, 1.3);
check("100 of 1000 Mbit/s up", { mbit: 1000, upLimitMbit: 100 }, 1.3);
check("100 of 1000 Mbit/s down", { mbit: 1000, downLimitMbit: 100 }, 1.3);

test("five swarms alike end at about the same time", () => {
  // Which is ahead of the others, and by how much, is the chance of the first moments: 0.72 to 0.85 by size.
  for (const pieces of [96, 128, 160]) {
    const { ratios } = severalBroadcasts({ ...FIVE, isUrgent: false, pieces });
    assert(Math.min(...ratios) >= 0.7 * Math.max(...ratios), `they took ${ratios} of the bound`);
  }
});

test("beside an urgent swarm none stands still", () => {
  const { atFirst } = severalBroadcasts(FIVE);
  const [urgent = 0, ...others] = atFirst;
  for (const bytes of others) {
    assert(bytes >= urgent / 100, `${bytes} bytes came of one, ${urgent} of the urgent`);
  }
});

test("fault 34: the same seed gives the same trace of several swarms, another seed another", () => {
  const run = (seed: number) => severalBroadcasts({ ...FIVE, pieces: 40, seed }).world.trace.text;
  assert.equal(run(1), run(1));
  assert.notEqual(run(1), run(2));
});
