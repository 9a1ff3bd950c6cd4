// The control plane killed and started again: what was acknowledged is still there, what was half done
// is done once, and workers go on with the lease they had.
import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { call } from "../../runtime/grpc/client.ts";
import { until } from "../lab/until.ts";
import { type ControlPlane, startControlPlane } from "./controlplane-process.ts";
import {
  beat,
  complete,
  leaseOne,
  logText,
  scratch,
  sealedRelease,
  submit,
} from "./queue-system.ts";

let folder = scratch();
let plane: ControlPlane | undefined;

async function start(options: Parameters<typeof startControlPlane>[1] = {}) {
  plane = await startControlPlane(folder.root, options);
  return plane;
}

async function end(): Promise<void> {
  await plane?.end("SIGKILL");
  plane = undefined;
}

beforeEach(async () => {
  await end();
  folder.remove();
  folder = scratch();
});
after(async () => {
  await end();
  folder.remove();
});

const get = async (from: ControlPlane, id: string) =>
  (await call(from.builds, from.builds.getBuild, { id })).build!;

test("fault 1: a lease, its log and its end survive a kill of the control plane", async () => {
  const before = await start();
  const { build } = await submit(before, { requester: "r" });
  const lease = await leaseOne(before);
  await beat(before, lease, { service: "hello" });
  await logText(before, lease, 0, "before ");
  await end();

  const now = await start();
  assert.equal((await beat(now, lease, { service: "hello" })).cancelled, false);
  assert.equal(await logText(now, lease, 0, "before "), 7, "a repeat of what was stored");
  assert.equal(await logText(now, lease, 7, "after"), 12);
  const origin = await openBlobStore(`file:${folder.root}/origin`);
  const release = await sealedRelease({ origin }, lease, "hello");
  await origin.close();
  await complete(now, lease, { $case: "release", release });
  const done = await get(now, build!.id);
  assert.deepEqual([done.state, done.attempt], [BuildState.BUILD_STATE_SUCCEEDED, 1]);
  assert.equal(done.logBytes, 12);
  const read: string[] = [];
  const request = { id: build!.id, attempt: 0, offset: 2, follow: true };
  for await (const { data } of now.builds.tailLog(request)) read.push(data.toString());
  assert.equal(read.join(""), "fore after");
});

test("a lease whose worker is silent after a restart is lost only after a full window", async () => {
  const before = await start({ flags: ["--build-detect", "2000"] });
  const { build } = await submit(before);
  const lease = await leaseOne(before);
  await end();
  const now = await start({ flags: ["--build-detect", "2000"] });
  assert.equal((await get(now, build!.id)).state, BuildState.BUILD_STATE_LEASED);
  const again = await leaseOne(now, "w2", 9_000);
  assert.deepEqual([again.build, again.attempt], [build!.id, 2]);
  const late = beat(now, lease);
  await assert.rejects(late, (error: { code?: number }) => error.code === status.ABORTED);
});

for (const failpoint of [
  "controlplane.before-complete-txn",
  "controlplane.after-complete-txn",
] as const) {
  test(`fault 1: killed at ${failpoint}, the build ends once and its release is there`, async () => {
    const before = await start({ failpoint });
    const { build } = await submit(before);
    const lease = await leaseOne(before);
    const origin = await openBlobStore(`file:${folder.root}/origin`);
    const release = await sealedRelease({ origin }, lease, "hello");
    await origin.close();
    await assert.rejects(complete(before, lease, { $case: "release", release }));
    await before.exited;
    const now = await start();
    await complete(now, lease, { $case: "release", release });
    const done = await get(now, build!.id);
    assert.equal(done.state, BuildState.BUILD_STATE_SUCCEEDED);
    const { releases } = now;
    const list = { service: "hello", limit: 0, pageToken: "" };
    const all = await call(releases, releases.listReleases, list);
    assert.deepEqual(
      all.releases.map((one) => one.release),
      [release.release],
    );
  });
}

for (const failpoint of [
  "controlplane.before-submit-txn",
  "controlplane.after-submit-txn",
] as const) {
  test(`fault 1: killed at ${failpoint}, a repeated request is one build`, async () => {
    const request = { ref: "c".repeat(40), requester: "ci-42" };
    const before = await start({ failpoint });
    await assert.rejects(submit(before, request));
    await before.exited;
    const now = await start();
    const { build } = await submit(now, request);
    assert.equal(build!.requesters, 1);
    const { builds } = now;
    const list = { service: "", states: [], limit: 0, pageToken: "" };
    assert.equal((await call(builds, builds.listBuilds, list)).builds.length, 1);
  });
}

test("fault 1: a worker lost at controlplane.after-lease-txn costs the build one delivery", async () => {
  const flags = ["--build-detect", "1500"];
  const before = await start({ failpoint: "controlplane.after-lease-txn", flags });
  const { build } = await submit(before);
  await assert.rejects(leaseOne(before));
  await before.exited;
  const now = await start({ flags });
  const lease = await leaseOne(now, "w2", 9_000);
  assert.deepEqual([lease.build, lease.attempt], [build!.id, 2]);
});

for (const failpoint of [
  "controlplane.before-cancel-txn",
  "controlplane.after-cancel-txn",
] as const) {
  test(`fault 1: killed at ${failpoint}, a repeated cancel is one cancel, and its worker hears it`, async () => {
    const before = await start({ failpoint });
    const { build, requester } = await submit(before, { requester: "r" });
    const lease = await leaseOne(before);
    const request = { id: build!.id, requester };
    await assert.rejects(call(before.builds, before.builds.cancelBuild, request));
    await before.exited;
    const now = await start();
    const isOnRecord = (await beat(now, lease)).cancelled;
    assert.equal(isOnRecord, failpoint === "controlplane.after-cancel-txn");
    const { detached } = await call(now.builds, now.builds.cancelBuild, request);
    assert.equal(detached, false);
    assert.ok((await beat(now, lease)).cancelled);
    await complete(now, lease, { $case: "cancelled", cancelled: true });
    assert.equal((await get(now, build!.id)).state, BuildState.BUILD_STATE_CANCELLED);
  });
}

for (const failpoint of [
  "controlplane.before-sweep-txn",
  "controlplane.after-sweep-txn",
] as const) {
  test(`fault 1: killed at ${failpoint}, a worker's loss is counted once`, async () => {
    const flags = ["--build-detect", "1500"];
    const before = await start({ failpoint, flags });
    const { build } = await submit(before);
    for (let delivery = 1; delivery <= 3; delivery += 1) {
      const now = plane as ControlPlane;
      assert.equal((await leaseOne(now, `w${delivery}`, 20_000)).attempt, delivery);
      if (delivery > 1) continue;
      await before.exited;
      await start({ flags });
    }
    const now = plane as ControlPlane;
    const ended = await until("the end of the build", async () => {
      const seen = await get(now, build!.id);
      return seen.state === BuildState.BUILD_STATE_FAILED && seen;
    });
    assert.deepEqual([ended.reason, ended.attempt], ["worker_lost", 3]);
  });
}

test("SIGTERM ends it at once though workers wait and logs are followed", async () => {
  const now = await start();
  const { build } = await submit(now);
  await leaseOne(now);
  const { workers, builds } = now;
  const waiting = call(
    workers,
    workers.lease,
    { worker: "waits", waitMs: 30_000, version: "" },
    { deadlineMs: 30_000 },
  );
  const followed = (async () => {
    const request = { id: build!.id, attempt: 0, offset: 0, follow: true };
    for await (const _ of builds.tailLog(request)) assert.fail("there is no log");
  })();
  const refused = assert.rejects(
    followed,
    (error: { code?: number }) => error.code === status.UNAVAILABLE,
  );
  const { fleet } = now;
  await until("the worker to wait", async () => {
    const glance = await call(fleet, fleet.getStatus, {});
    return glance.workers === 2;
  });
  await now.end("SIGTERM");
  assert.deepEqual(await now.exited, [0, null]);
  assert.equal((await waiting).lease, undefined, "it was sent away before its time was up");
  await refused;
});
