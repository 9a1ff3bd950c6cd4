// What leaves the store, and in which portions: every row once, nothing too large, nothing that somebody keeps.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  DEDUP_MS,
  horizonOf,
  isBeyond,
  isCold,
  isForgotten,
  placeOfRow,
  SEGMENT_BYTES_MAX,
  SEGMENT_ROWS_MAX,
  segmentsOf,
} from "../../../core/history/archive-plan.ts";
import {
  DAY_MS,
  dayOf,
  dayStartMs,
  sinceMidnightMs,
  timeOfDay,
} from "../../../core/history/calendar.ts";
import { parseSegment, segmentKey } from "../../../core/history/segment-name.ts";
import { isTimed, timedDigits, timeOfId } from "../../../core/history/timed-id.ts";

const T0 = Date.parse("2026-11-30T12:00:00Z");
const instant = fc.integer({ min: T0 - 3 * DAY_MS, max: T0 });
const chance = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const row = fc
  .record({
    createdAtMs: instant,
    tookMs: fc.integer({ min: 0, max: DAY_MS }),
    bytes: fc.integer({ min: 1, max: 200_000 }),
    chance,
  })
  .map(({ createdAtMs, tookMs, bytes, chance }) => ({
    id: `b-${timedDigits(createdAtMs, chance)}`,
    createdAtMs,
    endedAtMs: createdAtMs + tookMs,
    bytes,
  }));
const rows = fc.uniqueArray(row, { selector: ({ id }) => id, maxLength: 60 });

test("segments hold each row once, of one day, in order, within the limits, and their names say where", () => {
  fc.assert(
    fc.property(rows, (all) => {
      const segments = segmentsOf(all);
      const placed = segments.flat().map(placeOfRow);
      assert.deepEqual(placed, all.map(placeOfRow).sort());
      for (const segment of segments) {
        assert.ok(segment.length <= SEGMENT_ROWS_MAX);
        const bytes = segment.reduce((sum, one) => sum + one.bytes, 0);
        assert.ok(bytes <= SEGMENT_BYTES_MAX || segment.length === 1);
        assert.equal(new Set(segment.map(({ createdAtMs }) => dayOf(createdAtMs))).size, 1);
        const [first, last] = [segment[0]?.createdAtMs ?? 0, segment.at(-1)?.createdAtMs ?? 0];
        const key = segmentKey("builds", { first, last }, "0".repeat(32));
        const name = parseSegment(key);
        assert.equal(name?.key, key);
        for (const { id, createdAtMs } of segment) {
          assert.ok(createdAtMs >= (name?.firstMs ?? 0) && createdAtMs <= (name?.lastMs ?? 0));
          assert.ok(timeOfId(id) <= (name?.lastMs ?? 0) && isTimed({ id, createdAtMs }));
        }
      }
    }),
  );
});

test("one row more than a segment takes begins another", () => {
  const many = Array.from({ length: SEGMENT_ROWS_MAX + 1 }, (_, index) => ({
    ...{ id: `b-${timedDigits(T0, index)}`, createdAtMs: T0, endedAtMs: T0, bytes: 1 },
  }));
  assert.deepEqual(
    segmentsOf(many).map(({ length }) => length),
    [SEGMENT_ROWS_MAX, 1],
  );
});

test("a row is cold by its age or by the number of newer ones, and none beyond the horizon is", () => {
  const horizon = fc
    .record({
      hotMs: fc.integer({ min: 1, max: 3 * DAY_MS }),
      crowdedMs: fc.oneof(fc.constant(0), instant),
    })
    .map(({ hotMs, crowdedMs }) => horizonOf(T0, hotMs, crowdedMs));
  fc.assert(
    fc.property(row, horizon, (one, line) => {
      if (isBeyond(one.createdAtMs, line)) assert.ok(!isCold(one, line));
    }),
  );
  const week = horizonOf(T0, 7 * DAY_MS, 0);
  const ended = (endedAtMs: number) => ({ createdAtMs: T0 - 30 * DAY_MS, endedAtMs });
  assert.ok(isCold(ended(T0 - 7 * DAY_MS - 1), week));
  assert.ok(!isCold(ended(T0 - 7 * DAY_MS), week), "long under way, ended within the week");
  assert.ok(isCold({ createdAtMs: T0 - 2, endedAtMs: T0 }, horizonOf(T0, DAY_MS, T0 - 1)));
});

test("an id says in which second it was made, and after 90 days nobody is answered by it", () => {
  fc.assert(
    fc.property(instant, chance, (atMs, drawn) => {
      const id = `r-${timedDigits(atMs, drawn)}`;
      assert.match(id, /^r-[0-9a-f]{16}$/);
      assert.equal(timeOfId(id), Math.floor(atMs / 1_000) * 1_000);
      assert.ok(!isForgotten(id, atMs + DEDUP_MS - 1_000));
      assert.ok(isForgotten(id, atMs + DEDUP_MS + 1_000));
    }),
  );
  assert.ok(!isTimed({ id: "b-ffffffff00000000", createdAtMs: T0 }));
});

test("what is no segment has no name that is one", () => {
  const digest = "0".repeat(32);
  for (const key of [
    "history/2026-11-30/",
    `history/2026-11-30/logs-000000-000001-${digest}`,
    `history/2026-13-77/builds-000000-000001-${digest}`,
    `history/2026-11-30/builds-000000-000001-${digest.slice(1)}`,
  ]) {
    assert.equal(parseSegment(key), undefined, key);
  }
});

test("days and times of day are those of the calendar", () => {
  const range = {
    min: Date.parse("0001-01-01T00:00:00Z"),
    max: Date.parse("9999-12-31T23:59:59Z"),
  };
  fc.assert(
    fc.property(fc.integer(range), (atMs) => {
      const text = new Date(atMs).toISOString();
      assert.equal(dayOf(atMs), text.slice(0, 10));
      assert.equal(dayStartMs(dayOf(atMs)), Date.parse(text.slice(0, 10)));
      assert.equal(timeOfDay(atMs), text.slice(11, 19).replaceAll(":", ""));
      const startMs = dayStartMs(dayOf(atMs)) + sinceMidnightMs(timeOfDay(atMs));
      assert.ok(startMs <= atMs && atMs < startMs + 1_000);
    }),
  );
  for (const day of ["2026-02-30", "2025-02-29", "2026-13-01", "2026-00-10", "26-01-01", "~"]) {
    assert.ok(Number.isNaN(dayStartMs(day)), day);
  }
  assert.equal(dayOf(dayStartMs("2024-02-29")), "2024-02-29");
});
