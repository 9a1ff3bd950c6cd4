// How rates are written on the command line, and what is refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import { rate } from "../../runtime/program/rate-limits.ts";

test("a rate is bytes a second, with a unit or without", () => {
  for (const [text, bytes] of [
    ["250000", 250_000],
    ["250kB", 250_000],
    ["2mbit", 250_000],
    ["12MB", 12_000_000],
    ["1.5MB", 1_500_000],
    ["100mbit", 12_500_000],
    ["2.5gbit", 312_500_000],
    ["8000kbit", 1_000_000],
    ["100gbit", 12_500_000_000],
  ] as const) {
    assert.equal(rate(text), bytes, text);
  }
});

test("a rate that is none, too small, too large or of unclear unit is refused with the limits", () => {
  for (const text of [
    ...["", "0", "-1MB", "249999", "1.9mbit", "101gbit", "1e9", "Infinity", "NaN"],
    ...["12Mb", "12mb", "12MiB", "100Mbit", "12MB/s", " 12MB", "MB", "1.2345MB", "0x1000000"],
  ]) {
    assert.throws(
      () => rate(text),
      /expected bytes a second from 250kB \(2mbit\) to 100gbit/,
      text,
    );
  }
});
