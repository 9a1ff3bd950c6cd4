// A bucket gives its burst at once and its rate over time, never more.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TokenBucket } from "../../../core/fleet/token-bucket.ts";

test("over any time no more is taken than the burst and the rate allow, and what is due is given", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 50 }),
      fc.array(fc.nat(2_000), { maxLength: 200 }),
      (burst, perSecond, gaps) => {
        const bucket = new TokenBucket(0, burst, perSecond);
        let now = 0;
        let taken = 0;
        for (const gap of gaps) {
          now += gap;
          if (bucket.take(now)) taken += 1;
          else assert(taken >= 1, "a full bucket gave nothing");
          assert(taken <= burst + (now / 1000) * perSecond + 1e-6);
        }
        while (bucket.take(now)) taken += 1;
        assert(taken >= Math.min(burst, gaps.length), `${taken}`);
      },
    ),
  );
});

test("a clock that goes back gives nothing for it", () => {
  const bucket = new TokenBucket(10_000, 1, 1);
  assert(bucket.take(10_000));
  assert(!bucket.take(0));
  assert(!bucket.take(10_999));
  assert(bucket.take(11_000));
});
