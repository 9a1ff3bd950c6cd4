// The fleet's fault swarm: a few of the seeds that `npm run fuzz:sim` runs by the thousand, and what they draw from.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FAULTS } from "../../simulator/fleet/fault-table.ts";
import { drawFaults, runSeed } from "../../simulator/fleet/run-seed.ts";
import { SOURCES } from "../tidy/source-files.ts";
import { findMutant } from "./find-mutant.ts";
import { MUTANTS } from "./mutants.ts";

/** Rows of the project's table of faults that a simulation is to show, but those on the simulator itself. */
const ROWS = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
  ...[18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32],
];

/** Planted bugs that the first few seeds find; `npm run fuzz:mutants` plants all. */
const QUICKLY_FOUND = [
  "an election does not raise the epoch",
  "the old process is left running beside the new one",
];

/** Runs in which faults of these rows alone strike, each at moments by chance. */
const BY_ROW = [
  { title: "fault 4: what the store does late or does not answer is done once", rows: [4] },
  {
    title: "fault 11: wall clocks decide nothing, and monotonic ones may drift",
    rows: [11],
  },
  {
    title: "fault 21: blobs whose answer is lost or that broke half-way are put again",
    rows: [21],
  },
  { title: "fault 22: a region whose store takes nothing is waited for", rows: [22], seed: 2 },
  {
    title: "fault 22: a region that is silent for twelve hours has everything soon after",
    rows: [22],
    seed: 31,
  },
  { title: "fault 23: relays that are killed or restarted in turn lose nothing", rows: [23] },
  { title: "fault 26: a release that is bad, at once or later, is taken back", rows: [26] },
  { title: "fault 27: machines of which nothing is heard are not healthy", rows: [27] },
  {
    title: "fault 32: a store that is put back to a backup is noticed, and gone on from",
    rows: [32],
    seed: 2,
  },
];

/** Few, as each takes a third of a second. */
const SEEDS = 6;

test(`fault 33: ${SEEDS} small fleets keep every promise, and come to their ends`, () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { violation } = runSeed(seed);
    assert.equal(violation, undefined, `seed ${seed}: ${violation?.what}`);
  }
});

for (const { title, rows, seed = 1 } of BY_ROW) {
  test(title, () => {
    const { violation, faults } = runSeed(seed, { rows });
    assert.equal(violation, undefined, `${violation?.what}`);
    assert.notEqual(faults.length, 0);
  });
}

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

test("each planted bug has its place, once", () => {
  const misplaced = MUTANTS.filter(({ file, search }) => {
    const text = SOURCES.find(({ path }) => path === file)?.text ?? "";
    return text.split(search).length !== 2;
  });
  assert.deepEqual(misplaced, []);
});

for (const name of QUICKLY_FOUND) {
  test(`fault 35: it is found when ${name}`, async () => {
    const mutant = MUTANTS.find((one) => one.name === name);
    assert.ok(mutant !== undefined);
    assert.notEqual(await findMutant(mutant, 20), null);
  });
}
