// A rollout's time: what is due by it has come when its machine is woken.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { StoppableClock } from "../../../core/rollout/stoppable-clock.ts";

const HOUR_MS = 3_600_000;

const ms = fc.double({ min: 0, max: HOUR_MS, noNaN: true });

test("when a rollout time is due it has come, and hardly more, however often it stood still", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(ms, ms), { maxLength: 4 }), ms, ms, (stops, ran, due) => {
      const clock = new StoppableClock();
      let now = ran;
      for (const [stopped, goesOn] of stops) {
        clock.stop(now);
        now += stopped;
        clock.goOn(now);
        now += goesOn;
      }
      const at = clock.at(now) + due;
      const late = clock.at(clock.instantOf(at)) - at;
      assert.ok(late >= 0 && late < 0.01, `${late} ms after it`);
    }),
  );
});

test("while it stands still nothing is due", () => {
  const clock = new StoppableClock();
  clock.stop(5);
  assert.equal(clock.at(9), 5);
  assert.equal(clock.instantOf(7), Number.POSITIVE_INFINITY);
  clock.goOn(9);
  assert.equal(clock.at(10), 6);
});
