// Turns to write: in order, never more in a second than the rate and a burst, none lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ROLLOUT_WRITES_PER_S, WritePace } from "../../../core/rollout/write-pace.ts";

const BURST = 10;

test("in no second are there more turns than the rate and a burst, and they keep their order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 200 }), (gapsMs) => {
      const pace = new WritePace(ROLLOUT_WRITES_PER_S);
      let now = 0;
      const turns = gapsMs.map((gapMs) => {
        now += gapMs;
        const at = pace.turn(now);
        assert.ok(at >= now);
        return at;
      });
      assert.deepEqual(
        turns,
        turns.toSorted((a, b) => a - b),
      );
      for (const from of turns) {
        const within = turns.filter((at) => at >= from && at < from + 1_000).length;
        assert.ok(within <= ROLLOUT_WRITES_PER_S + BURST, `${within} in a second`);
      }
    }),
  );
});

test("after a rest a few have their turn at once, then one after the other", () => {
  const pace = new WritePace(10);
  const turns = Array.from({ length: BURST + 2 }, () => pace.turn(5_000));
  assert.deepEqual(
    turns.slice(0, BURST),
    Array.from({ length: BURST }, () => 5_000),
  );
  assert.deepEqual(turns.slice(BURST), [5_100, 5_200]);
});
