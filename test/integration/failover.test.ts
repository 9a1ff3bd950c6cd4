// Replicas as processes on one etcd: whichever is asked answers, the leader is killed or stands still in the
// middle of a rollout, and another goes on, with nothing lost and nothing done twice.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { runMillrace } from "../lab/system.ts";
import { until } from "../lab/until.ts";
import type { ControlPlane } from "./controlplane-process.ts";
import { complete, leaseOne, logText, submit } from "./queue-system.ts";
import { ReplicaWorld } from "./replica-world.ts";
import { releaseOf } from "./rollout-world.ts";

const TTL_MS = 3_000;
/** A first wave, a while to look at it, and the rest. */
const POLICY = {
  maxUnavailablePercent: 100,
  waves: [{ percent: 25, bakeMs: 1_000 }, { percent: 100 }],
};

const LIST = { service: "hello", openOnly: false, limit: 1, pageToken: "" };

const world = await ReplicaWorld.start();
after(() => world.stop());
for (let count = 0; count < 3; count += 1) await world.addReplica();
await world.addRelays(2, 4);

async function reaches(asked: ControlPlane, id: string, state: RolloutState): Promise<void> {
  const { rollouts } = asked;
  let last: unknown;
  const reached = until(`rollout ${id} in state ${state}`, async () => {
    // A call on its way while leaders change is answered UNAVAILABLE, and is asked again.
    const answer = await call(rollouts, rollouts.getRollout, { id }).catch((error: unknown) => {
      assert.equal((error as { code: number }).code, status.UNAVAILABLE, String(error));
      last = error;
    });
    last = answer?.rollout ?? last;
    assert.notEqual(answer?.rollout?.state, RolloutState.ROLLOUT_STATE_FAILED);
    return answer?.rollout?.state === state;
  });
  await reached.catch((cause: unknown) => {
    throw new Error(`last: ${JSON.stringify(last)}`, { cause });
  });
}

const switchedTo = (release: string): number =>
  world.machines.reduce((sum, { switched }) => sum + (switched.get(release) ?? 0), 0);

test("any replica takes builds, leases them and tells of rollouts; each is one and the same", async () => {
  const [a, b] = world.replicas as [ControlPlane, ControlPlane];
  const { build } = await submit(a);
  const again = await submit(b, { ref: build!.sha });
  assert.deepEqual([again.attached, again.build!.id], [true, build!.id]);
  const lease = await leaseOne(b);
  assert.equal(lease.build, build!.id);
  const { build: seen } = await call(a.builds, a.builds.getBuild, { id: build!.id });
  assert.equal(seen!.attempt, 1);
  // The worker speaks to one replica and to the other; each has all of the log.
  assert.equal(await logText(a, lease, 0, "one "), 4);
  assert.equal(await logText(b, lease, 4, "two "), 8);
  assert.equal(await logText(a, lease, 4, "two three"), 13);
  await complete(b, lease, { $case: "failure", failure: { reason: "command", message: "" } });
  for (const { builds } of [a, b]) {
    let log = "";
    const whole = { id: build!.id, attempt: 1, offset: 0, follow: true };
    for await (const { data } of builds.tailLog(whole)) log += data.toString();
    assert.equal(log, "one two three");
  }
  const [statusA, statusB] = await Promise.all(
    [a, b].map(({ fleet }) => call(fleet, fleet.getStatus, {})),
  );
  assert.equal(statusA?.epoch, statusB?.epoch);
  assert.deepEqual(statusA?.regions, statusB?.regions);
});

test("fault 1: the leader killed in mid-rollout: another goes on, and no machine switches twice", async () => {
  const { leader, replica } = await world.leader(world.any);
  const other = world.other(replica);
  const release = releaseOf("hello", "one", POLICY);
  const id = await world.rollOut(other, release);
  await until("the first wave", () => switchedTo(release.release) > 0);
  await world.kill(replica);
  const { build } = await submit(other);
  const next = await world.leader(other, leader.epoch);
  assert.notEqual(next.replica, replica);
  await reaches(other, id, RolloutState.ROLLOUT_STATE_SUCCEEDED);
  for (const { switched } of world.machines) assert.equal(switched.get(release.release), 1);
  const { build: kept } = await call(other.builds, other.builds.getBuild, { id: build!.id });
  assert.equal(kept!.id, build!.id);
  for (const { epochs } of world.links) assert.ok(epochs.has(next.leader.epoch));
});

test("fault 2: a leader that stands still for three of its leases decides nothing when it goes on", async () => {
  const { leader, replica } = await world.leader(world.any);
  const other = world.other(replica);
  const release = releaseOf("hello", "two", POLICY);
  const id = await world.rollOut(other, release);
  await until("the first wave", () => switchedTo(release.release) > 0);
  process.kill(replica.pid, "SIGSTOP");
  const standing = sleep(3 * TTL_MS);
  const next = await world.leader(other, leader.epoch);
  await reaches(other, id, RolloutState.ROLLOUT_STATE_SUCCEEDED);
  await standing;
  const { revision } = await world.store.range({ prefix: "", limit: 1 });
  const written: string[] = [];
  const watch = await world.store.watch({ prefix: "", fromRevision: revision + 1 }, (events) => {
    written.push(...events.map(({ entry }) => entry.key));
  });
  process.kill(replica.pid, "SIGCONT");
  const { leadership, rollouts } = replica;
  await until("it to follow", async () => {
    const answer = await call(leadership, leadership.getLeader, {});
    return answer.leader?.epoch === next.leader.epoch;
  });
  // What it is told to decide now, the leader decides.
  const { rollout } = await call(rollouts, rollouts.getRollout, { id });
  assert.equal(rollout!.state, RolloutState.ROLLOUT_STATE_SUCCEEDED);
  const marked = { put: "marked", value: new Uint8Array() };
  await world.store.transact({ compares: [], operations: [marked] });
  await until("the mark", () => written.includes("marked"));
  watch.close();
  assert.deepEqual(written, ["marked"], "the old leader wrote nothing");
  assert.equal((await world.leader(replica)).leader.epoch, next.leader.epoch);
  for (const { switched } of world.machines) assert.equal(switched.get(release.release), 1);
  for (const { epochs, refused } of world.links) {
    assert.ok(epochs.has(next.leader.epoch));
    assert.equal(refused(), 0, "relays had left it");
  }
  assert.deepEqual(world.obeyedLate, []);
});

test("fault 4: etcd killed in mid-rollout: it stands still, and goes on when etcd is back", async () => {
  const { leader, replica } = await world.leader(world.any);
  const other = world.other(replica);
  const release = releaseOf("hello", "three", POLICY);
  const id = await world.rollOut(other, release);
  const { build } = await submit(other);
  await until("the first wave", () => switchedTo(release.release) > 0);
  const [member] = world.etcd.members;
  await member?.stop("SIGKILL");
  for (const { rollouts } of [replica, other]) {
    await until("nobody to lead", async () => {
      const asked = call(rollouts, rollouts.listRollouts, LIST, { deadlineMs: 30_000 });
      return asked.then(
        () => false,
        ({ details }: { details: string }) => details.includes("no control plane leads"),
      );
    });
  }
  await member?.start();
  const next = await world.leader(other, leader.epoch);
  await reaches(other, id, RolloutState.ROLLOUT_STATE_SUCCEEDED);
  for (const { switched } of world.machines) assert.equal(switched.get(release.release), 1);
  const { build: kept } = await call(other.builds, other.builds.getBuild, { id: build!.id });
  assert.equal(kept!.state, BuildState.BUILD_STATE_QUEUED);
  for (const { id: of, leadership } of [replica, other]) {
    const answer = await call(leadership, leadership.getLeader, {});
    assert.deepEqual([answer.replica, answer.leader?.epoch], [of, next.leader.epoch], "it lives");
  }
  assert.deepEqual(world.obeyedLate, []);
});

test("`millrace leader` shows who leads, and hands over", async () => {
  const { leader, replica } = await world.leader(world.any);
  assert.equal((await world.leader(world.other(replica))).leader.epoch, leader.epoch);
  const addresses = world.replicas.map(({ address }) => address).join(",");
  const read = async (...flags: string[]) => {
    const { code, stdout, stderr } = await runMillrace(
      ["leader", "--json", "--addr", addresses, ...flags],
      { env: { ...process.env, MILLRACE_HOME: world.root } },
    );
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as { leader: { replica: string; epoch: number } };
  };
  const { leader: before } = await read();
  const { leader: next } = await read("--resign");
  assert.equal(next.epoch, before.epoch + 1);
  assert.notEqual(next.replica, before.replica);
  assert.deepEqual((await read()).leader, next);
  await until("the relays to follow", () =>
    world.links.every(({ epochs }) => epochs.has(next.epoch)),
  );
});
