// The least time that a race can take, against figures worked out by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { boundS, type Profile, ratesOf } from "../../bench/lab/profile.ts";

const FILE_BYTES = 128 * 1024 * 1024;
const MBIT = (FILE_BYTES * 8) / 1e6;

test("the bound is set by the seed, by the slowest NIC, or by all uplinks together", () => {
  const cases: readonly [profile: Profile, peers: number, seconds: number][] = [
    ["flat", 16, MBIT / 100],
    // 5 of 16 peers at a quarter: 16 files over 100 + 11 x 100 + 5 x 25 Mbit/s.
    ["hetero", 16, (16 * MBIT) / 1_325],
    ["slowseed", 16, MBIT / 50],
    ["flat", 1, MBIT / 100],
    ["open", 8, 0],
  ];
  for (const [profile, peers, seconds] of cases) {
    const bound = boundS(FILE_BYTES, ratesOf(profile, peers, 100));
    assert.ok(Math.abs(bound - seconds) < 1e-9, `${profile} ${peers}: ${bound}, not ${seconds}`);
  }
});
