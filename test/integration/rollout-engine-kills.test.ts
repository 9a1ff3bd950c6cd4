// The control plane killed -9 at each named place of a rollout, as a process of its own, and started
// again: nothing that was acknowledged is lost, and no machine is told to do a thing twice.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { releaseOperations } from "../../controlplane/builds/release-index.ts";
import {
  RolloutServiceClient,
  RolloutState,
  StartRolloutRequest,
} from "../../proto/gen/millrace/v1/rollouts.ts";
import { call, connect } from "../../runtime/grpc/client.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import { startControlPlane } from "./controlplane-process.ts";
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

async function putRelease(root: string): Promise<void> {
  const store = await openStore(`sqlite:${join(root, "store.db")}`);
  await store.transact({ compares: [], operations: releaseOperations(RELEASE) });
  await store.close();
}

/** Starts the rollout, by one key for all times, and sees it through. */
async function seeThrough(address: string): Promise<RolloutState> {
  const client = connect(RolloutServiceClient, address);
  try {
    const { rollout } = await call(client, client.startRollout, START, { deadlineMs: WAIT_MS_MAX });
    const endsAt = performance.now() + WAIT_MS_MAX;
    for (;;) {
      const answer = await call(client, client.getRollout, { id: rollout?.id ?? "" });
      if (answer.rollout?.endedAtMs !== 0) return answer.rollout?.state ?? 0;
      assert.ok(performance.now() < endsAt, JSON.stringify(answer.rollout));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } finally {
    client.close();
  }
}

for (const place of PLACES) {
  test(`killed at ${place}, it goes on`, async () => {
    const root = mkdtempSync(join(tmpdir(), "millrace-kills-"));
    await putRelease(root);
    let plane = await startControlPlane(root, { failpoint: place });
    const relays = [0, 1].map(
      (index) => new TestRelay(`relay-${index}`, `region-${index}`, 4, () => plane.address),
    );
    try {
      const first = seeThrough(plane.address).catch(() => "lost");
      const [, signal] = (await plane.exited) as [number | null, string | null];
      assert.equal(signal, "SIGKILL");
      assert.equal(await first, "lost");
      await plane.end("SIGKILL");
      plane = await startControlPlane(root);
      assert.equal(await seeThrough(plane.address), RolloutState.ROLLOUT_STATE_SUCCEEDED);
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
