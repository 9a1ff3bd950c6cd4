// What `millrace gc` says: whole texts, as people read them, and the record for programs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { garbageRecord, garbageTable } from "../../cli/output/garbage-view.ts";
import { type PackFate, PackVerdict } from "../../proto/gen/millrace/v1/garbage.ts";

const AT = 1_767_225_600_000;
const fate = (digit: number, verdict: PackVerdict, reason: string, sinceMs = 0): PackFate => ({
  pack: `b-000000000000000${digit}.1`,
  bytes: digit * 1_000_000,
  ...{ verdict, reason, sinceMs },
});
const PACKS = [
  fate(1, PackVerdict.PACK_VERDICT_KEEP, "assigned to hello"),
  fate(2, PackVerdict.PACK_VERDICT_MARK, "no kept release needs it"),
  fate(3, PackVerdict.PACK_VERDICT_DELETE, "no release names it", AT - 3_600_000),
];

test("gc: a row for each pack, and the sums", () => {
  assert.equal(
    garbageTable(PACKS, "", false, AT),
    [
      "PACK                  VERDICT  BYTES   SINCE  WHY",
      "b-0000000000000001.1  kept     1.0 MB  -      assigned to hello",
      "b-0000000000000002.1  marked   2.0 MB  -      no kept release needs it",
      "b-0000000000000003.1  deleted  3.0 MB  1 h    no release names it",
      "1 kept (1.0 MB), 1 marked (2.0 MB), 1 deleted (3.0 MB)",
    ].join("\n"),
  );
});

test("gc --dry-run: says what would be done, and what is in the way", () => {
  const [, ...going] = PACKS;
  assert.equal(
    garbageTable(going, "no relay of region eu is connected", true, AT),
    [
      "nothing is marked or deleted now: no relay of region eu is connected",
      "PACK                  VERDICT           BYTES   SINCE  WHY",
      "b-0000000000000002.1  would be marked   2.0 MB  -      no kept release needs it",
      "b-0000000000000003.1  would be deleted  3.0 MB  1 h    no release names it",
      "1 would be marked (2.0 MB), 1 would be deleted (3.0 MB)",
    ].join("\n"),
  );
  assert.equal(garbageTable([], "", true, AT), "no packs");
});

test("gc --json: verdicts are the same words whether it was done or not", () => {
  for (const isDry of [true, false]) {
    const record = garbageRecord(PACKS, "", isDry) as {
      dryRun: boolean;
      packs: { verdict: string }[];
      sums: { verdict: string; count: number; bytes: number }[];
    };
    assert.equal(record.dryRun, isDry);
    assert.deepEqual(
      record.packs.map(({ verdict }) => verdict),
      ["keep", "mark", "delete"],
    );
    assert.deepEqual(record.sums.at(-1), { verdict: "delete", count: 1, bytes: 3_000_000 });
  }
});
