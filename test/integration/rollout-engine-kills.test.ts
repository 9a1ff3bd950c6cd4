// The control plane killed -9 at each named place of a rollout, as a process of its own, and started again on the same
// store: nothing that was acknowledged is lost, and no machine is told to do a thing twice.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { releaseOperations } from "../../controlplane/builds/release-index.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { RolloutState, StartRolloutRequest } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import { until } from "../lab/until.ts";
import { startControlPlane } from "./controlplane-process.ts";
import { straightTo } from "./relay-ways.ts";
import { TestRelay } from "./rollout-relay.ts";
import { releaseOf } from "./rollout-world.ts";

const PLACES = [
  "controlplane.before-rollout-txn@1",
  "controlplane.after-rollout-txn@1",
  "controlplane.before-rollout-txn@3",
  "controlplane.after-rollout-txn@4",
  "controlplane.before-rollout-txn@6",
  "controlplane.after-rollout-txn@6",
  "controlplane.before-send@2",
  "controlplane.after-send@2",
  "controlplane.before-send@4",
  "controlplane.after-send@4",
];

/** How long anything that is waited for may take on a busy machine. */
const WAIT_MS_MAX = 60_000;

const WAY_BACK = [
  "controlplane.before-rollout-txn",
  "controlplane.after-rollout-txn",
  "controlplane.before-send",
  "controlplane.after-send",
  // Not by a place of its own, but by the test, as soon as the roll-back is acknowledged.
  "the answer",
];

const root = mkdtempSync(join(tmpdir(), "millrace-kills-"));
const armed = join(root, "failpoint");
let plane = await startControlPlane(root, { armed });
const relays = [0, 1].map(
  (index) =>
    new TestRelay(
      `relay-${index}`,
      `region-${index}`,
      4,
      straightTo(() => plane.address),
    ),
);
const machines = relays.flatMap((relay) => relay.machines);
after(async () => {
  for (const relay of relays) relay.stop();
  await plane.end("SIGTERM");
  rmSync(root, { recursive: true, force: true });
});

/** Ends the life of the control plane, puts releases into its store, and begins the next life. */
async function liveOn(...releases: Release[]): Promise<void> {
  await plane.end("SIGKILL");
  const store = await openStore(`sqlite:${join(root, "store.db")}`);
  for (const release of releases) {
    await store.transact({ compares: [], operations: releaseOperations(release) });
  }
  await store.close();
  plane = await startControlPlane(root, { armed });
}

/** Resolves with the rollout, once it is in this state. */
const reaches = (id: string, state: RolloutState): Promise<string> =>
  until(`${id} in state ${state}`, async () => {
    const { rollout } = await call(plane.rollouts, plane.rollouts.getRollout, { id });
    return rollout?.state === state && id;
  });

/** Starts a rollout of the release, by one key for all times. */
async function start({ sha }: Release): Promise<string> {
  const { rollouts } = plane;
  const request = StartRolloutRequest.fromPartial({ release: sha, idempotencyKey: sha });
  const options = { deadlineMs: WAIT_MS_MAX };
  return (await call(rollouts, rollouts.startRollout, request, options)).rollout?.id ?? "";
}

const deploysOf = (place: string): Release =>
  releaseOf("hello", place, {
    failuresPercent: 25,
    maxUnavailablePercent: 50,
    waves: [{ percent: 20 }, { percent: 100 }],
  });
await liveOn(...PLACES.map(deploysOf));

for (const place of PLACES) {
  test(`fault 1: killed at ${place}, a deploy goes on, and no machine is told twice`, async () => {
    const release = deploysOf(place);
    writeFileSync(armed, place);
    const answered = await start(release).catch(() => "");
    const [, signal] = (await plane.exited) as [number | null, string | null];
    assert.equal(signal, "SIGKILL");
    await liveOn();
    const id = answered || (await start(release));
    await reaches(id, RolloutState.ROLLOUT_STATE_SUCCEEDED);
    const list = { service: "hello", openOnly: false, limit: 0, pageToken: "" };
    const { rollouts } = await call(plane.rollouts, plane.rollouts.listRollouts, list);
    assert.deepEqual(
      rollouts.filter(({ sha }) => sha === release.sha).map((one) => one.id),
      [id],
    );
    for (const { running, switched } of machines) {
      assert.deepEqual([running, switched.get(release.release)], [release.release, 1]);
    }
  });
}

const goodOf = (place: string): Release =>
  releaseOf("hello", `good ${place}`, { maxUnavailablePercent: 100 });
/** A quarter, and then nothing for as long as a test may take. */
const nextOf = (place: string): Release =>
  releaseOf("hello", `next ${place}`, {
    maxUnavailablePercent: 100,
    waves: [{ percent: 25, bakeMs: 3_600_000 }, { percent: 100 }],
  });

for (const place of WAY_BACK) {
  test(`fault 1: killed at ${place}, a roll-back that was acknowledged is not lost`, async () => {
    const [good, next] = [goodOf(place), nextOf(place)];
    await liveOn(good, next);
    await reaches(await start(good), RolloutState.ROLLOUT_STATE_SUCCEEDED);
    const id = await reaches(await start(next), RolloutState.ROLLOUT_STATE_BAKING);
    if (place !== "the answer") writeFileSync(armed, place);
    const back = () => call(plane.rollouts, plane.rollouts.rollBack, { id, idempotencyKey: id });
    const isAcknowledged = await back().then(
      () => true,
      () => false,
    );
    if (place === "the answer") assert.ok(isAcknowledged);
    else await plane.exited;
    await liveOn();
    if (!isAcknowledged) await back();
    await reaches(id, RolloutState.ROLLOUT_STATE_ROLLED_BACK);
    for (const { running, switched } of machines) {
      assert.equal(running, good.release);
      assert.ok((switched.get(next.release) ?? 0) <= 1, "told to switch once");
    }
    assert.equal(machines.filter(({ switched }) => switched.has(next.release)).length, 2);
  });
}
