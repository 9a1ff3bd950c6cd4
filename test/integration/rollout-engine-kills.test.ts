// The control plane killed -9 at each named place of a rollout, as a process of its own, and started
// again: nothing that was acknowledged is lost, and no machine is told to do a thing twice.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { releaseOperations } from "../../controlplane/builds/release-index.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import {
  RolloutServiceClient,
  RolloutState,
  StartRolloutRequest,
} from "../../proto/gen/millrace/v1/rollouts.ts";
import { call, connect } from "../../runtime/grpc/client.ts";
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

const RELEASE = releaseOf("hello", "one", {
  failuresPercent: 25,
  maxUnavailablePercent: 50,
  waves: [{ percent: 20 }, { percent: 100 }],
});
const START = StartRolloutRequest.fromPartial({ release: RELEASE.sha, idempotencyKey: "once" });

async function putReleases(root: string, ...releases: Release[]): Promise<void> {
  const store = await openStore(`sqlite:${join(root, "store.db")}`);
  for (const release of releases) {
    await store.transact({ compares: [], operations: releaseOperations(release) });
  }
  await store.close();
}

/** What the client of one life of the control plane got as an answer. */
interface Told {
  id: string;
}

/** Starts the rollout, by one key for all times, unless that was answered already; sees it through. */
async function seeThrough(address: string, told: Told): Promise<RolloutState> {
  const client = connect(RolloutServiceClient, address);
  try {
    if (told.id === "") {
      const options = { deadlineMs: WAIT_MS_MAX };
      const { rollout } = await call(client, client.startRollout, START, options);
      told.id = rollout?.id ?? "";
    }
    const ended = await until("the end of the rollout", async () => {
      const { rollout } = await call(client, client.getRollout, { id: told.id });
      return rollout?.endedAtMs !== 0 && rollout;
    });
    const list = { service: "hello", openOnly: false, limit: 0, pageToken: "" };
    const { rollouts } = await call(client, client.listRollouts, list);
    assert.deepEqual(
      rollouts.map(({ id }) => id),
      [told.id],
    );
    return ended.state;
  } finally {
    client.close();
  }
}

for (const place of PLACES) {
  test(`fault 1: killed at ${place}, a deploy goes on, and no machine is told twice`, async () => {
    const root = mkdtempSync(join(tmpdir(), "millrace-kills-"));
    await putReleases(root, RELEASE);
    let plane = await startControlPlane(root, { failpoint: place });
    const relays = startRelays(() => plane.address);
    const told: Told = { id: "" };
    try {
      const first = seeThrough(plane.address, told).catch(() => "lost");
      const [, signal] = (await plane.exited) as [number | null, string | null];
      assert.equal(signal, "SIGKILL");
      assert.equal(await first, "lost");
      await plane.end("SIGKILL");
      plane = await startControlPlane(root);
      assert.equal(await seeThrough(plane.address, told), RolloutState.ROLLOUT_STATE_SUCCEEDED);
      for (const { switched } of relays.flatMap((relay) => relay.machines)) {
        assert.deepEqual([...switched], [[RELEASE.release, 1]]);
      }
    } finally {
      for (const relay of relays) relay.stop();
      await plane.end("SIGTERM");
      rmSync(root, { recursive: true, force: true });
    }
  });
}

const GOOD = releaseOf("hello", "good", { maxUnavailablePercent: 100 });
/** A quarter, and then nothing for as long as a test may take. */
const NEXT = releaseOf("hello", "next", {
  maxUnavailablePercent: 100,
  waves: [{ percent: 25, bakeMs: 3_600_000 }, { percent: 100 }],
});

const WAY_BACK = [
  "controlplane.before-rollout-txn",
  "controlplane.after-rollout-txn",
  "controlplane.before-send",
  "controlplane.after-send",
  // Not by a place of its own, but by the test, as soon as the roll-back is acknowledged.
  "the answer",
];

for (const place of WAY_BACK) {
  test(`fault 1: killed at ${place}, a roll-back that was acknowledged is not lost`, async () => {
    const root = mkdtempSync(join(tmpdir(), "millrace-kills-"));
    await putReleases(root, GOOD, NEXT);
    const armed = join(root, "failpoint");
    let plane = await startControlPlane(root, { armed });
    let rollouts = connect(RolloutServiceClient, plane.address);
    const relays = startRelays(() => plane.address);
    const machines = relays.flatMap((relay) => relay.machines);
    const deploy = async (release: string, state: RolloutState): Promise<string> => {
      const request = StartRolloutRequest.fromPartial({ release });
      const { rollout } = await call(rollouts, rollouts.startRollout, request);
      return reaches(rollout?.id ?? "", state);
    };
    const reaches = (id: string, state: RolloutState): Promise<string> =>
      until(`${id} in state ${state}`, async () => {
        const { rollout } = await call(rollouts, rollouts.getRollout, { id });
        return rollout?.state === state && id;
      });
    try {
      await deploy(GOOD.sha, RolloutState.ROLLOUT_STATE_SUCCEEDED);
      const id = await deploy(NEXT.sha, RolloutState.ROLLOUT_STATE_BAKING);
      if (place !== "the answer") writeFileSync(armed, place);
      const answer = call(rollouts, rollouts.rollBack, { id, idempotencyKey: "back" });
      const isAcknowledged = await answer.then(
        () => true,
        () => false,
      );
      if (place === "the answer") assert.ok(isAcknowledged);
      else await plane.exited;
      await plane.end("SIGKILL");
      rollouts.close();
      plane = await startControlPlane(root);
      rollouts = connect(RolloutServiceClient, plane.address);
      if (!isAcknowledged) await call(rollouts, rollouts.rollBack, { id, idempotencyKey: "back" });
      await reaches(id, RolloutState.ROLLOUT_STATE_ROLLED_BACK);
      for (const { running, switched } of machines) {
        assert.equal(running, GOOD.release);
        assert.ok((switched.get(NEXT.release) ?? 0) <= 1, "told to switch once");
      }
      assert.equal(machines.filter(({ switched }) => switched.has(NEXT.release)).length, 2);
    } finally {
      rollouts.close();
      for (const relay of relays) relay.stop();
      await plane.end("SIGTERM");
      rmSync(root, { recursive: true, force: true });
    }
  });
}

function startRelays(address: () => string): TestRelay[] {
  return [0, 1].map(
    (index) => new TestRelay(`relay-${index}`, `region-${index}`, 4, straightTo(address)),
  );
}
