// A release to a fleet of several regions at the level of pieces: how many threads run it changes nothing,
// a fleet gets it in about the time that its largest region takes, and what limits the origin is seen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ReleaseProgress, releaseBroadcast } from "../../simulator/release-broadcast.ts";
import { RELEASE, type ReleasePlan } from "../../simulator/release-plan.ts";

/** 4 regions of 20 agents, one of 21; 1 GiB in 64 pieces: the bound is 8.6 s. */
const SMALL: ReleasePlan = { ...RELEASE, agents: 81, regions: 4, relaysPerRegion: 2, pieces: 64 };

test("one, two and four threads give the same trace, the same times and the same progress", async () => {
  const runs = await Promise.all(
    [1, 2, 4].map(async (workers) => {
      const progress: ReleaseProgress[] = [];
      const plan = { ...SMALL, originMbit: 12_000, packMbit: 8_000 };
      const onProgress = (one: ReleaseProgress) => progress.push(one);
      return { progress, result: await releaseBroadcast(plan, { workers, onProgress }) };
    }),
  );
  const [one, ...others] = runs;
  assert(one !== undefined && Number.isFinite(one.result.lastMs));
  assert.equal(one.progress.at(-1)?.wholeAgents, SMALL.agents);
  for (const other of others) assert.deepEqual(other, one);
});

test("every agent gets every byte, and each region's from the origin once", async () => {
  const { regions, lastMs, boundMs, ratio, transfers } = await releaseBroadcast(SMALL, {
    workers: 2,
  });
  const bytes = SMALL.pieces * SMALL.pieceBytes;
  assert.deepEqual(
    regions.map(({ wholeMs }) => wholeMs.length),
    [21, 20, 20, 20],
  );
  for (const { bytes: by, wholeMs } of regions) {
    assert.equal(by.fromOrigin, bytes);
    const needed = wholeMs.length * bytes;
    const received = (by.fromRelays + by.fromAgents) / needed;
    assert(received >= 1 && received < 1.02, `${received} of the bytes that were needed`);
    assert(by.fromRelays < 0.5 * needed, "machines carry most of it");
  }
  assert(transfers >= SMALL.agents * SMALL.pieces);
  assert(lastMs > boundMs && ratio < 1.6, `the last agent took ${ratio} of the bound`);
});

test("regions share an origin that gives less than their links take", async () => {
  const plan = { ...SMALL, originMbit: 1_000 };
  const { terms, boundMs, ratio } = await releaseBroadcast(plan, { workers: 2 });
  assert.equal(boundMs, terms.originMs);
  // Half of a region's segments come at once, so the last half is still to be passed on when it has come.
  assert(ratio >= 1 && ratio < 1.5, `the last agent took ${ratio} of the bound`);
});

test("another seed gives another trace, and a run can be ended", async () => {
  const traceOf = async (seed: number) =>
    (await releaseBroadcast({ ...SMALL, seed }, { workers: 2 })).trace;
  assert.notEqual(await traceOf(1), await traceOf(2));
  const signal = AbortSignal.abort();
  await assert.rejects(releaseBroadcast(SMALL, { workers: 2, signal }), { name: "AbortError" });
});
