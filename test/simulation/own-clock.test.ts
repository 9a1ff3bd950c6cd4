// The clock of a simulated program: what is due by it is due, so that time never stands still.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OwnClock } from "../../simulator/fleet/own-clock.ts";

const ms = fc.double({ min: 0, max: 1e6, noNaN: true });
const rate = fc.double({ min: 0.95, max: 1.05, noNaN: true });

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
