// The growth of a benchmark's costs, against figures worked out by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { growthOf } from "../../bench/lab/growth.ts";

test("growth is 1 where costs follow the work, whatever a start costs", () => {
  const cases: readonly [smaller: number, larger: number, fixed: number, growth: number][] = [
    [1, 10, 0, 1],
    [1.5, 10.5, 0.5, 1],
    [1, 20, 0, 2],
    [3, 12, 2, 1],
    [10, 10, 1, 0.1],
  ];
  for (const [smaller, larger, fixed, growth] of cases) {
    const found = growthOf({ work: 100, cost: smaller }, { work: 1_000, cost: larger }, fixed);
    assert.ok(Math.abs(found - growth) < 1e-9, `${smaller} to ${larger} less ${fixed}: ${found}`);
  }
});

test("a run that costs no more than a start, and work that does not grow, are refused", () => {
  assert.throws(() => growthOf({ work: 1, cost: 2 }, { work: 10, cost: 9 }, 2), /no more than/);
  assert.throws(() => growthOf({ work: 10, cost: 3 }, { work: 10, cost: 9 }, 2), /does not grow/);
});
