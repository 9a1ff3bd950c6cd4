// When a relay reports, by what changes, whether a leader waits for it, and whether permits are out.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type PaceEffect, type PaceInput, ReportPace } from "../../../core/fleet/report-pace.ts";

type Change = readonly [at: number, kind?: "changed" | "awaited"];

/** When it reports up to `end`, where this happens; each report leaves. */
function reportsOf(changes: readonly Change[], end: number, isBusy = (_: number) => false) {
  let now = 0;
  const pace = new ReportPace(() => isBusy(now));
  const reports: number[] = [];
  const step = (kind: PaceInput["kind"]): void => {
    const effects: PaceEffect[] = [];
    pace.step(now, { kind }, effects);
    for (const _ of effects) {
      reports.push(now);
      pace.step(now, { kind: "sent" }, []);
    }
  };
  const wakeUntil = (at: number): void => {
    while (pace.deadline <= at) {
      now = pace.deadline;
      step("wake");
    }
    now = at;
  };
  for (const [at, kind = "changed"] of changes) {
    wakeUntil(at);
    step(kind);
  }
  wakeUntil(end);
  return reports;
}

test("reports what changes at once after a quiet time, else once a second", () => {
  assert.deepEqual(reportsOf([[100], [110], [200], [900], [3_000]], 3_100), [120, 1_120, 3_020]);
});

test("where nothing changes it says so every two seconds", () => {
  assert.deepEqual(reportsOf([[0]], 7_000), [20, 2_020, 4_020, 6_020]);
});

test("of what is awaited three reports come before their time, then one more every two seconds", () => {
  const awaited = [100, 200, 300, 400, 500, 1_700, 3_900, 4_000].map(
    (at) => [at, "awaited"] as const,
  );
  assert.deepEqual(reportsOf(awaited, 4_900), [120, 220, 320, 420, 1_420, 2_220, 3_920, 4_220]);
});

test("changes of each second leave what is awaited its early reports", () => {
  const connecting = Array.from({ length: 50 }, (_, index) => [index * 100] as const);
  const reports = reportsOf([...connecting, [5_030, "awaited"], [5_080, "awaited"]], 5_200);
  assert.deepEqual(reports.slice(-3), [5_020, 5_050, 5_100]);
});

test("while permits are out, changes of a second are told together, and the last answer at once", () => {
  const changes = [100, 500, 900, 1_050, 1_300, 1_600].map((at) => [at] as const);
  const isBusy = (now: number): boolean => now >= 100 && now < 1_600;
  assert.deepEqual(reportsOf(changes, 2_000, isBusy), [1_100, 1_620]);
});

test("never more than three in two seconds on average, and no change is untold for longer than one", () => {
  const change = fc.tuple(
    fc.integer({ min: 1, max: 3_000 }),
    fc.constantFrom("changed" as const, "awaited" as const),
  );
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 60 }), (moves) => {
      let at = 0;
      const changes = moves.map(([gap, kind]) => {
        at += gap;
        return [at, kind] as const;
      });
      const reports = reportsOf(changes, at + 5_000);
      for (const [index, from] of reports.entries()) {
        const within = reports.slice(index).filter((report) => report <= from + 10_000);
        assert.ok(within.length <= 11 + 5 + 3, `${within.length} reports in 10 s from ${from} on`);
      }
      for (const [changedAt] of changes) {
        assert.ok(reports.some((report) => report > changedAt && report <= changedAt + 1_020));
      }
    }),
  );
});
