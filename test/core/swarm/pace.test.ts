// How long blocks are at which pace of arrival.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BLOCK_BYTES_LONG, BLOCK_BYTES_SHORT } from "../../../core/swarm/limits.ts";
import { Pace } from "../../../core/swarm/pace.ts";

/** Blocks after which a mean of sixteen shows the rate they come at. */
const ENOUGH = 200;

/** Blocks that come at the rates in turn, in Mbit/s; for each its length in the end. */
function lengths(rates: readonly number[], count = ENOUGH): number[] {
  const pace = new Pace();
  let now = 0;
  return rates.map((mbit) => {
    for (let block = 0; block < count; block += 1) {
      const bytes = pace.blockBytes;
      now += bytes / (mbit * 125);
      pace.note(now, bytes, 5);
    }
    return pace.blockBytes;
  });
}

const [short, long] = [BLOCK_BYTES_SHORT, BLOCK_BYTES_LONG];

test("blocks are long from 200 Mbit/s on", () => {
  const each = [100, 190, 210, 1_000].flatMap((mbit) => lengths([mbit]));
  assert.deepEqual(each, [short, short, long, long]);
});

test("a wire that was fast keeps its long blocks, unless it is very slow", () => {
  assert.deepEqual(lengths([1_000, 50, 1_000, 30, 190]), [long, long, long, short, short]);
});

test("a burst at the beginning shows nothing", () => {
  assert.deepEqual(lengths([1_000, 100], 30), [long, short]);
});
