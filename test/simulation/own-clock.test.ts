// The clock of a simulated program: what is due by it is due, so that time never stands still.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OwnClock } from "../../simulator/fleet/own-clock.ts";

const ms = fc.integer({ min: 1, max: 1e9 }).map((number) => number / 997);
const rate = fc.oneof(
  fc.integer({ min: -500, max: 500 }).map((number) => 1 + number / 9_973),
  // One that is put right though it was not wrong.
  fc.constant(1),
);

test("at the time that it gives for an instant it shows that instant, also once it is right again", () => {
  fc.assert(
    fc.property(ms, ms, ms, rate, fc.boolean(), (wrongAt, rightAfter, later, wrong, isRight) => {
      const time = { now: wrongAt };
      const clock = new OwnClock(time);
      clock.drift(wrong);
      time.now += rightAfter;
      if (isRight) clock.drift(1);
      const due = clock.now + later;
      time.now = clock.trueAt(due);
      assert.ok(clock.now >= due, `${clock.now} of ${due}`);
    }),
    { numRuns: 2_000 },
  );
});
