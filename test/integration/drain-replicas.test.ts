// Replicas on one etcd that are told to end, as at an upgrade: the leader hands over at once, whoever waits at one
// is told when to ask again, and a rollout goes on.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type ServiceError, status } from "@grpc/grpc-js";
import { RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { retryAfterMs } from "../../runtime/grpc/rpc-error.ts";
import { until } from "../lab/until.ts";
import type { ControlPlane } from "./controlplane-process.ts";
import { ReplicaWorld } from "./replica-world.ts";
import { releaseOf } from "./rollout-world.ts";

/** A first wave, a while to look at it, and the rest. */
const POLICY = {
  maxUnavailablePercent: 100,
  waves: [{ percent: 25, bakeMs: 1_000 }, { percent: 100 }],
};

const world = await ReplicaWorld.start();
after(() => world.stop());
for (let count = 0; count < 2; count += 1) await world.addReplica();
await world.addRelays(1, 4);

/** Follows a rollout until the stream breaks off; resolves with what it said then. */
function brokenOff({ rollouts }: ControlPlane, id: string): Promise<ServiceError> {
  return new Promise((resolve, reject) => {
    const watch = rollouts.watchRollout({ id });
    watch.on("data", () => {});
    watch.on("error", (error) => resolve(error as ServiceError));
    watch.on("end", () => reject(new Error("it ended")));
  });
}

test("the leader ends in mid-rollout: another leads, and whoever waits is told when to ask again", async () => {
  const { leader, replica } = await world.leader(world.any);
  const other = world.other(replica);
  const release = releaseOf("hello", "one", POLICY);
  const id = await world.rollOut(other, release);
  const switched = (): number =>
    world.machines.reduce((sum, machine) => sum + (machine.switched.get(release.release) ?? 0), 0);
  await until("the first wave", () => switched() > 0);
  const followed = brokenOff(replica, id);
  const asked = call(
    replica.workers,
    replica.workers.lease,
    { worker: "w1", waitMs: 30_000, version: "" },
    { deadlineMs: 40_000 },
  );
  await until("the worker waits", async () => {
    return (await call(replica.fleet, replica.fleet.getStatus, {})).workers === 1;
  });
  process.kill(replica.pid, "SIGTERM");
  const error = await followed;
  assert.equal(error.code, status.UNAVAILABLE, error.details);
  assert.ok(retryAfterMs(error) > 0, "the watch is told when to come back");
  const { lease, retryAfterMs: waitMs } = await asked;
  assert.equal(lease, undefined);
  assert.ok(waitMs > 0, "the worker is told when to come back");
  assert.deepEqual(await replica.exited, [0, null]);
  const next = await world.leader(other, leader.epoch);
  assert.equal(next.replica, other);
  await until("the rollout has succeeded", async () => {
    const answer = await call(other.rollouts, other.rollouts.getRollout, { id }).catch(
      // Its term may be about to begin.
      (cause: ServiceError) => assert.equal(cause.code, status.UNAVAILABLE, cause.details),
    );
    return answer?.rollout?.state === RolloutState.ROLLOUT_STATE_SUCCEEDED;
  });
  for (const machine of world.machines) assert.equal(machine.switched.get(release.release), 1);
  assert.deepEqual(world.obeyedLate, []);
});
