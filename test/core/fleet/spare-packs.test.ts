// Which packs a region's store lets go of, and that those stay that fit.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { planSpares } from "../../../core/fleet/spare-packs.ts";

const spare = (pack: string, bytes: number, sinceMs: number) => ({ pack, bytes, sinceMs });

test("a region's budget: the longest unneeded goes first, what is needed stays and is said", () => {
  const spares = [spare("new", 10, 3), spare("old", 10, 1), spare("mid", 10, 2)];
  const names = (needed: number, budget: number): string =>
    planSpares(spares, needed, budget)
      .evicted.map(({ pack }) => pack)
      .join(" ");
  assert.equal(names(20, 50), "");
  assert.equal(names(21, 50), "old");
  assert.equal(names(40, 50), "old mid");
  assert.equal(names(0, 0), "old mid new");
  assert.equal(planSpares(spares, 50, 50).overBytes, 0);
  assert.deepEqual(planSpares(spares, 57, 50).overBytes, 7);
});

test("a region's budget: all fits afterwards, or nothing spare is left; nothing goes in vain", () => {
  const one = fc.record({ pack: fc.uuid(), bytes: fc.nat(50), sinceMs: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(one), fc.nat(100), fc.nat(300), (spares, needed, budget) => {
      const { evicted, overBytes } = planSpares(spares, needed, budget);
      const left = spares.filter((each) => !evicted.includes(each));
      const bytes = left.reduce((sum, each) => sum + each.bytes, needed);
      if (left.length > 0) assert.ok(bytes <= budget);
      assert.equal(overBytes, Math.max(0, needed - budget));
      const last = evicted.at(-1);
      if (last !== undefined) assert.ok(bytes + last.bytes > budget);
      for (const gone of evicted) for (const kept of left) assert.ok(gone.sinceMs <= kept.sinceMs);
    }),
  );
});
