// The flow model's arithmetic: which term decides, how rounds follow from a policy, and that more of
// anything that helps never makes it slower.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fetchTime, type RegionShape } from "../../../core/estimate/fetch-time.ts";
import {
  estimateRelease,
  type ReleaseShape,
  SLO_MS,
  slowness,
} from "../../../core/estimate/release-estimate.ts";
import { waveTimes } from "../../../core/estimate/wave-time.ts";
import type { RolloutPlan } from "../../../core/rollout/rollout-row.ts";

const GBIT = 125_000;
const GB = 1e9;

const PLAN: RolloutPlan = {
  id: "r",
  waves: [
    { percent: 5, regions: [], labels: {}, bakeMs: 60_000 },
    { percent: 100, regions: [], labels: {}, bakeMs: 0 },
  ],
  failuresPercent: 5,
  maxUnavailablePercent: 0,
  sampleMin: 0,
  targets: {},
  excludedRegions: [],
  answerMs: 50_000,
  hasFallback: true,
};

/** 10,000 machines of 1 Gbit/s behind two relays of 10. */
function region(change: Partial<RegionShape> = {}): RegionShape {
  return {
    region: "eu",
    machines: 10_000,
    replicateBytes: 10 * GB,
    fetchBytes: 10 * GB,
    pieceBytes: 9.8e6,
    wanRate: 10 * GBIT,
    relayRate: 20 * GBIT,
    upRates: 10_000 * GBIT,
    downRateMin: GBIT,
    ...change,
  };
}

function release(change: Partial<ReleaseShape> = {}): ReleaseShape {
  const regions = Array.from({ length: 10 }, () => region());
  const waveSizes = [5_000, 100_000];
  return { plan: PLAN, waveSizes, releaseBytes: 10 * GB, withinMs: 30_000, regions, ...change };
}

test("the bound of a region is its slowest part", () => {
  const seconds = (change: Partial<RegionShape>) =>
    Math.round(fetchTime(region(change)).boundMs / 1_000);
  assert.equal(seconds({}), 80, "into a machine");
  assert.equal(seconds({ wanRate: GBIT / 2 }), 160, "over the WAN");
  assert.equal(seconds({ relayRate: GBIT / 4 }), 320, "out of the relays");
  assert.equal(seconds({ upRates: 1_000 * GBIT }), 784, "out of all uplinks");
});

test("a machine that lacks nothing has fetched at once, and nobody is waited for where nobody is", () => {
  assert.equal(fetchTime(region({ fetchBytes: 0, replicateBytes: 0 })).fetchedMs, 0);
  assert.equal(fetchTime(region({ machines: 0, upRates: 0 })).fetchedMs, 0);
});

test("10 GB on 100,000 machines ends within the 30 minutes", () => {
  const { replicatedMs, stagedMs, endMs, latestMs } = estimateRelease(release());
  assert(replicatedMs < stagedMs && stagedMs < endMs && endMs < latestMs);
  assert(stagedMs < 180_000, `${stagedMs} ms`);
  assert(endMs < SLO_MS, `${endMs} ms`);
});

test("a release that nothing asks for its health counts after a second, whenever that would be", () => {
  const plan = {
    ...PLAN,
    waves: PLAN.waves.slice(1),
    maxUnavailablePercent: 100,
    failuresPercent: 100,
  };
  const { stagedMs, endMs, latestMs, waves } = estimateRelease(
    release({ plan, waveSizes: [100_000], withinMs: undefined }),
  );
  assert.deepEqual(
    waves.map(({ rounds }) => rounds),
    [1],
  );
  assert.equal(endMs, latestMs);
  const within = estimateRelease(release({ plan, waveSizes: [100_000], withinMs: 1_000 }));
  assert.equal(endMs, within.endMs);
  assert(endMs < stagedMs + 10_000, `${endMs - stagedMs} ms`);
});

test("no failures allowed means one machine at a time, and the plan says so", () => {
  const plan = { ...PLAN, failuresPercent: 0 };
  const estimate = estimateRelease(release({ plan }));
  assert.deepEqual(
    estimate.waves.map(({ machines, together, rounds }) => [machines, together, rounds]),
    [
      [5_000, 1, 5_000],
      [95_000, 1, 95_000],
    ],
  );
  assert(estimate.endMs > SLO_MS);
  assert.match(slowness(estimate, plan)[0] ?? "", /95000 machines lets 1 be out at once/);
  assert.deepEqual(slowness(estimateRelease(release()), PLAN), []);
});

test("a wave without machines takes no time, and is not watched", () => {
  const [first, last] = waveTimes(PLAN, [0, 0], 0, { meanMs: 1_000, mostMs: 2_000 });
  assert.deepEqual(first, { machines: 0, together: 1, rounds: 0, switchingMs: 0, bakeMs: 0 });
  assert.equal(last?.switchingMs, 0);
});

test("more of what helps never makes it slower", () => {
  const count = fc.integer({ min: 1, max: 20_000 });
  const rate = fc.integer({ min: 1_000, max: 10_000_000 });
  const bytes = fc.integer({ min: 1, max: 10 * GB });
  const shape = fc.record({
    machines: count,
    replicateBytes: bytes,
    fetchBytes: bytes,
    wanRate: rate,
    relayRate: rate,
    downRateMin: rate,
  });
  fc.assert(
    fc.property(
      shape,
      rate,
      fc.constantFrom("wanRate", "relayRate", "downRateMin", "upRates"),
      (facts, each, helps) => {
        const before = region({ ...facts, upRates: facts.machines * each });
        const after = { ...before, [helps]: 2 * before[helps as "wanRate"] };
        const [one, other] = [fetchTime(before), fetchTime(after)];
        assert(other.fetchedMs <= one.fetchedMs && other.replicatedMs <= one.replicatedMs);
        assert(one.fetchedMs >= one.boundMs && one.replicatedMs >= one.wanMs);
      },
    ),
  );
});
