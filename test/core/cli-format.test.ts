// How numbers, tables and bars read, by tables of cases.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatBar } from "../../cli/output/bar.ts";
import {
  clip,
  formatAge,
  formatFields,
  formatTable,
  formatTime,
  shortId,
} from "../../cli/output/format.ts";
import { fitLines } from "../../cli/output/page.ts";
import { formatBytes } from "../../runtime/program/byte-amount.ts";
import { formatDuration } from "../../runtime/recipe/duration.ts";

test("bytes have units of 1000 and two digits where they count", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0 B"],
    [999, "999 B"],
    [1_000, "1.0 kB"],
    [9_949, "9.9 kB"],
    [9_950, "10 kB"],
    [999_400, "999 kB"],
    [999_500, "1.0 MB"],
    [25_166_701, "25 MB"],
    [10_000_000_000, "10 GB"],
    [5_000_000_000_000_000, "5000 TB"],
  ];
  for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text);
});

test("ages are counted in whole units, and none is never negative", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0 s"],
    [59_400, "59 s"],
    [60_000, "1 min"],
    [3_599_000, "59 min"],
    [3_600_000, "1 h"],
    [86_400_000 * 3, "3 d"],
    [-5_000, "0 s"],
  ];
  for (const [agoMs, text] of cases) assert.equal(formatAge(1e12 - agoMs, 1e12), text);
  assert.equal(formatAge(0, 1e12), "-");
});

test("durations name two units at most, and no zero", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0 ms"],
    [999, "999 ms"],
    [1_240, "1.2 s"],
    [60_000, "1 min"],
    [185_000, "3 min 5 s"],
    [1_800_000, "30 min"],
    [3_600_000, "1 h"],
    [7_810_000, "2 h 10 min"],
  ];
  for (const [ms, text] of cases) assert.equal(formatDuration(ms), text);
});

test("times of day, short ids, and texts that are cut", () => {
  assert.equal(formatTime(1_767_225_605_999), "2026-01-01 00:00:05 UTC");
  assert.equal(formatTime(0), "-");
  assert.equal(shortId(""), "-");
  assert.equal(shortId("0123456789abcdef"), "0123456789ab");
  assert.equal(clip("short", 5), "short");
  assert.equal(clip("longer", 5), "long…");
  assert.equal(clip("first\nsecond", 40), "first");
});

test("a table's columns are as wide as their widest cell, lines end without blanks", () => {
  const table = formatTable(["ID", "STATE", ""], [["b-1", "ok"], ["b", "failed", "why"], [""]]);
  assert.equal(table, ["ID   STATE", "b-1  ok", "b    failed  why", ""].join("\n"));
});

test("fields without a value are left out", () => {
  const fields = formatFields([
    ["a", "1"],
    ["empty", ""],
    ["longer", "2"],
  ]);
  assert.equal(fields, "a       1\nlonger  2");
  assert.equal(formatFields([]), "");
});

test("a bar is full where all is there, and only then", () => {
  assert.equal(formatBar(0, 4, 4), "[░░░░]");
  assert.equal(formatBar(1, 4, 4), "[█░░░]");
  assert.equal(formatBar(4, 4, 4), "[████]");
  assert.equal(formatBar(0, 0, 4), "[░░░░]");
  fc.assert(
    fc.property(
      fc.nat(1_000),
      fc.nat(1_000),
      fc.integer({ min: 1, max: 80 }),
      (part, whole, width) => {
        const bar = formatBar(part, whole, width);
        assert.equal(bar.length, width + 2);
        assert.equal(!bar.includes("░"), whole > 0 && part >= whole);
      },
    ),
  );
});

test("a page is cut to the screen", () => {
  assert.deepEqual(fitLines("one\ntwo\nthree", 4, 2), ["one", "two"]);
  assert.deepEqual(fitLines("three", 4, 9), ["thr…"]);
});
