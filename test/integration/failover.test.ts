// Replicas as processes on one etcd: whichever is asked answers, the leader is killed in the middle of a rollout,
// and another goes on, with nothing lost and nothing done twice. Leaders that stand still: outage.test.ts.
import assert from "node:assert/strict";
import { after, test } from "node:test";
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
  for (const replica of [a, b]) assert.equal(await tail(replica, build!.id), "one two three");
  const [statusA, statusB] = await Promise.all(
    [a, b].map(({ fleet }) => call(fleet, fleet.getStatus, {})),
  );
  assert.equal(statusA?.epoch, statusB?.epoch);
  assert.deepEqual(statusA?.regions, statusB?.regions);
});

test("fault 1: the leader killed in mid-rollout: another goes on, no machine switches twice, and who watches sees it through", async () => {
  const { leader, replica } = await world.leader(world.any);
  const other = world.other(replica);
  const release = releaseOf("hello", "one", POLICY);
  await world.hold(release);
  // Both go through a replica that does not lead: one is passed on to the leader, one is not.
  const deploying = millrace("deploy", release.sha, "--json", "--addr", other.address);
  const { build } = await submit(other);
  const log = tail(other, build!.id);
  await until("the first wave", () => switchedTo(release.release) > 0);
  const followers = world.replicas.filter((one) => one !== replica);
  const watches = await Promise.all(followers.map(watchNewest));
  await world.kill(replica);
  const next = await world.leader(other, leader.epoch);
  assert.notEqual(next.replica, replica);
  const lease = await leaseOne(other);
  assert.equal(lease.build, build!.id);
  await logText(other, lease, 0, "through it all");
  await complete(other, lease, { $case: "failure", failure: { reason: "command", message: "" } });
  assert.equal(await log, "through it all");
  const { code, stdout, stderr } = await deploying;
  assert.equal(code, 0, stderr);
  assert.match(stdout, /"state":"succeeded"/);
  // Through one that leads now, and through one that passes it on to another than before.
  const { ROLLOUT_STATE_SUCCEEDED } = RolloutState;
  for (const { ended } of watches) assert.equal(await ended, ROLLOUT_STATE_SUCCEEDED);
  for (const { switched } of world.machines) assert.equal(switched.get(release.release), 1);
  for (const { epochs } of world.links) assert.ok(epochs.has(next.leader.epoch));
});

/** Watches the newest rollout, and resolves once the watch speaks; `ended` gives the last state that it told. */
async function watchNewest({ rollouts }: ControlPlane) {
  const { rollouts: newest } = await call(rollouts, rollouts.listRollouts, LIST);
  const begun = Promise.withResolvers<void>();
  const follow = async (): Promise<RolloutState | undefined> => {
    let state: RolloutState | undefined;
    for await (const { rollout } of rollouts.watchRollout({ id: newest[0]?.id ?? "" })) {
      state = rollout?.state ?? state;
      begun.resolve();
    }
    return state;
  };
  const ended = follow();
  await Promise.race([begun.promise, ended]);
  return { ended };
}

/** All of a build's log, followed to its end. */
async function tail({ builds }: ControlPlane, id: string): Promise<string> {
  let text = "";
  for await (const { data } of builds.tailLog({ id, attempt: 0, offset: 0, follow: true })) {
    text += data.toString();
  }
  return text;
}

function millrace(...args: string[]) {
  return runMillrace(args, { env: { ...process.env, MILLRACE_HOME: world.root } });
}

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
    const { code, stdout, stderr } = await millrace(
      ...["leader", "--json", "--addr", addresses, ...flags],
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
