// The fleet's fault swarm: a few of the seeds that `npm run fuzz:sim` runs by the thousand, and what they draw from.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FAULTS } from "../../simulator/fleet/fault-table.ts";
import { drawFaults, runSeed } from "../../simulator/fleet/run-seed.ts";

/** Rows of the project's table of faults that a simulation is to show, but those on the simulator itself. */
const ROWS = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
  ...[18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32],
];

/** Few, as each takes a third of a second. */
const SEEDS = 8;

test(`faults 1 to 33: ${SEEDS} small fleets keep every promise, and come to their ends`, () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { violation } = runSeed(seed);
    assert.equal(violation, undefined, `seed ${seed}: ${violation?.what}`);
  }
});

test("fault 34: the same seed gives the same trace, another seed another", () => {
  const one = runSeed(3).trace;
  assert.equal(runSeed(3).trace, one);
  assert.notEqual(runSeed(4).trace, one);
});

test("every fault is drawn within 200 seeds, and every row of the table has one", () => {
  assert.deepEqual(
    [...new Set(FAULTS.map(({ row }) => row))].sort((a, b) => a - b),
    ROWS,
  );
  const drawn = new Set<string>();
  for (let seed = 1; seed <= 200; seed += 1) {
    for (const { fault } of drawFaults(seed)) drawn.add(fault.what);
  }
  const missing = FAULTS.filter(({ what }) => !drawn.has(what));
  assert.deepEqual(missing, []);
});
