// What a machine lets go of to stay within its disk budget, case by case, and what holds for any.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type HeldRelease, planDisk } from "../../../core/fleet/disk-budget.ts";

/** "web:a=10" is needed and takes 10 bytes, "web:b=10-2" is not, and 2 ran after it. */
function held(text: string): HeldRelease {
  const [, service = "", release = "", bytes = "", age] =
    /^(\w+):(\w+)=(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  return {
    service,
    release,
    bytes: Number(bytes),
    isNeeded: age === undefined,
    age: Number(age ?? 0),
  };
}

const CASES = [
  ["all fits", "web:a=10 web:b=10-1", 0, 5, 25, "", 5, 0],
  ["the oldest goes first", "web:a=10 web:b=10-1 web:c=10-2", 0, 0, 25, "c", 5, 0],
  ["of any service", "web:a=10 web:b=10-1 api:c=10 api:d=10-4", 0, 0, 35, "d", 5, 0],
  ["releases before pieces", "web:a=10 web:b=10-1", 0, 10, 20, "b", 10, 0],
  ["then pieces", "web:a=10 web:b=10-1", 0, 20, 20, "b", 10, 0],
  ["what is fetched counts", "web:a=10 web:b=10-1", 5, 10, 20, "b", 5, 0],
  ["what is needed stays", "web:a=10 web:b=10 web:c=10-1", 5, 10, 20, "c", 0, 5],
] as const;

for (const [name, releases, fetchingBytes, cached, budget, gone, cache, over] of CASES) {
  test(`a machine's disk budget: ${name}`, () => {
    const all = { releases: releases.split(" ").map(held), fetchingBytes };
    const { evicted, cacheBytesMax, overBytes } = planDisk(all, cached, budget);
    assert.deepEqual(
      [evicted.map(({ release }) => release).join(" "), cacheBytesMax, overBytes],
      [gone, cache, over],
    );
  });
}

test("a machine's disk budget: what is needed stays, and what is left fits unless that is too much", () => {
  const bytes = fc.nat(50);
  const one = fc.record({
    service: fc.constantFrom("web", "api"),
    release: fc.constantFrom("a", "b", "c", "d"),
    bytes,
    isNeeded: fc.boolean(),
    age: fc.nat(4),
  });
  fc.assert(
    fc.property(fc.array(one), bytes, bytes, fc.nat(200), (releases, fetching, cached, budget) => {
      const plan = planDisk({ releases, fetchingBytes: fetching }, cached, budget);
      assert.ok(plan.evicted.every(({ isNeeded }) => !isNeeded));
      const left = releases.filter((release) => !plan.evicted.includes(release));
      const kept = left.reduce((sum, release) => sum + release.bytes, fetching);
      const cacheLeft = Math.min(cached, plan.cacheBytesMax);
      assert.equal(plan.overBytes, Math.max(0, kept - budget));
      if (plan.overBytes === 0) assert.ok(kept + cacheLeft <= budget);
      else assert.ok(cacheLeft === 0 && left.every(({ isNeeded }) => isNeeded));
      // No piece goes while an old release is there, and nothing goes in vain.
      if (cacheLeft < cached) assert.ok(left.every(({ isNeeded }) => isNeeded));
      const last = plan.evicted.at(-1);
      if (last !== undefined) assert.ok(kept + last.bytes + cached > budget);
    }),
  );
});
