// What may be forgotten of the store's history: never what is younger than it is to be kept, and in the end all
// that is older.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Compaction } from "../../../core/history/compaction.ts";

const KEPT_MS = 300;

test("what is compacted to was the newest a while ago, and each revision's turn comes", () => {
  const looks = fc.array(
    fc.record({ gapMs: fc.integer({ min: 1, max: 200 }), writes: fc.nat({ max: 5 }) }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(looks, (all) => {
      const compaction = new Compaction(KEPT_MS);
      const seen: { at: number; revision: number }[] = [];
      let [now, revision, compacted] = [0, 1, 0];
      for (const { gapMs, writes } of all) {
        now += gapMs;
        revision += writes;
        seen.push({ at: now, revision });
        const due = compaction.note(now, revision);
        const old = seen.filter(({ at }) => at <= now - KEPT_MS);
        if (due !== undefined) {
          assert.ok(due >= compacted, "it does not go back");
          assert.equal(due, old.at(-1)?.revision);
          compacted = due;
        }
        // Without an answer nothing new is old enough.
        assert.equal(compacted, old.at(-1)?.revision ?? 0);
      }
    }),
  );
});
