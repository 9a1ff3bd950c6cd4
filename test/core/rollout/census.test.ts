// Waves are of exactly the size they should be, whatever the fleet, in few rounds.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  failureBudget,
  outMax,
  shareCeil,
  shareFloor,
  waveSize,
} from "../../../core/rollout/bounds.ts";
import { CENSUS_LOWEST_MAX, CENSUS_PARTS, Census } from "../../../core/rollout/census.ts";
import type { RolloutPlan } from "../../../core/rollout/rollout-row.ts";
import { WAVE_HASH_END } from "../../../core/rollout/wave-hash.ts";

/** What a relay answers that has machines with these hashes. */
function count(hashes: readonly number[], low: number, high: number) {
  const inside = hashes.filter((hash) => hash >= low && hash < high).sort((a, b) => a - b);
  const counts = Array.from({ length: CENSUS_PARTS }, () => 0);
  for (const hash of inside) {
    const part = Math.floor(((hash - low) * CENSUS_PARTS) / (high - low));
    counts[part] = (counts[part] ?? 0) + 1;
  }
  return { counts, lowest: inside.slice(0, CENSUS_LOWEST_MAX), total: inside.length };
}

function draw(relays: readonly (readonly number[])[], percent: number) {
  const census = new Census(percent);
  for (let rounds = 1; rounds <= 7; rounds += 1) {
    const { low, high } = census.window;
    const result = census.take(relays.map((hashes) => count(hashes, low, high)));
    if (result.kind === "settled") return { ...result, rounds };
    assert.equal(result.kind, "narrow");
  }
  throw new Error("not settled in seven rounds");
}

test("a wave has exactly its size, however the hashes lie", () => {
  const hash = fc.oneof(
    fc.integer({ min: 0, max: WAVE_HASH_END - 1 }),
    fc.integer({ min: 0, max: 5_000 }),
  );
  const fleet = fc.uniqueArray(hash, { minLength: 1, maxLength: 400 });
  fc.assert(
    fc.property(
      fleet,
      fc.integer({ min: 1, max: 4 }),
      fc.double({ min: 0.1, max: 100, noNaN: true }),
      (all, n, percent) => {
        const relays = Array.from({ length: n }, (_, i) => all.filter((_, k) => k % n === i));
        const { size, threshold, rounds } = draw(relays, percent);
        assert.equal(size, waveSize(percent, all.length));
        assert.equal(all.filter((one) => one < threshold).length, size);
        assert.ok(rounds <= 7);
      },
    ),
  );
});

test("a small fleet's wave is settled in one round", () => {
  const hashes = Array.from({ length: 30 }, (_, index) => index * 7_919);
  assert.equal(draw([hashes.slice(0, 12), hashes.slice(12)], 5).rounds, 1);
});

test("whoever comes late is in a wave of everybody, and nobody is in a wave of nobody", () => {
  assert.equal(draw([[1, 2]], 100).threshold, WAVE_HASH_END);
  assert.deepEqual(draw([[]], 100), {
    kind: "settled",
    size: 0,
    threshold: WAVE_HASH_END,
    rounds: 1,
  });
  assert.deepEqual(draw([[]], 5), { kind: "settled", size: 0, threshold: 0, rounds: 1 });
});

test("machines that come between two rounds make it begin anew", () => {
  const census = new Census(50);
  const many = Array.from({ length: 200 }, (_, index) => index * 1_000);
  assert.equal(census.take([count(many, 0, WAVE_HASH_END)]).kind, "narrow");
  const { low, high } = census.window;
  assert.equal(census.take([count([], low, high)]).kind, "moved");
});

test("shares are of whole machines", () => {
  const sizes = [
    [5, 12, 1],
    [5, 100, 5],
    [0.1, 3_000, 3],
    [0.07, 100, 1],
    [100, 7, 7],
    [1, 0, 0],
    [1, 1, 1],
  ] as const;
  for (const [percent, machines, size] of sizes) assert.equal(waveSize(percent, machines), size);
  assert.equal(shareCeil(7, 100), 7);
  assert.equal(shareFloor(10, 19), 1);
});

test("machines out at once: the least of maxUnavailable and the budget, and at least one", () => {
  const plan = (failuresPercent: number, maxUnavailablePercent: number) =>
    ({ failuresPercent, maxUnavailablePercent }) as RolloutPlan;
  const cases = [
    // failures, maxUnavailable, planned, matching -> together
    [1, 0, 12, 12, 1],
    [1, 0, 5_000, 100_000, 50],
    [50, 0, 100_000, 100_000, 10_000],
    [50, 25, 10, 10, 2],
    [0, 100, 10, 10, 1],
    [100, 100, 10, 10, 10],
    // One is counted twice, or came later.
    [10, 50, 51, 50, 5],
  ] as const;
  for (const [failures, unavailable, planned, matching, together] of cases) {
    assert.equal(outMax(plan(failures, unavailable), planned, matching), together);
  }
  assert.equal(failureBudget(plan(1, 0), 12), 1);
  assert.equal(failureBudget(plan(1, 0), 5_000), 50);
});
