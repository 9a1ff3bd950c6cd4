// A whole cluster of real programs while etcd or the leader fails under it, in the middle of builds and
// rollouts: both end well, each once; machines run on; what a leader of old says is heard by nobody.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import type { Store } from "../../runtime/store/store.ts";
import type { EtcdMember } from "../lab/etcd.ts";
import { until } from "../lab/until.ts";
import { ClusterWorld, type LeaderReport, SERVICE } from "./cluster-world.ts";

const TTL_MS = 3_000;
/**
 * Longer than all that a lease, a heartbeat or a command may take for alive: leaders have 3 s, a relay leaves a silent
 * stream after 6 s.
 */
const OUTAGE_MS = 7_000;
/** Epochs of the first incarnation after a restore are above this. */
const RAISED = 2 ** 32;

const world = await ClusterWorld.start();
after(() => world.stop());

test("faults 4 and 32: etcd's leader is killed and its disk lost, another takes its place: a rollout and a build go on", async () => {
  const work = await world.begin();
  const lost = world.etcd.leader();
  await world.etcd.replace(lost);
  await work.end();
  // The new member counts: with another one gone it is needed.
  const [other] = world.etcd.members.filter((member) => member !== lost) as [EtcdMember];
  await other.stop("SIGKILL");
  await world.read("status");
  await other.start();
});

test("fault 4: all of etcd away for longer than any lease: services run on, and all goes on when it is back", async () => {
  const { epoch } = (await world.leader()).leader;
  const work = await world.begin();
  const before = await world.answers();
  for (const member of world.etcd.members) member.stall(true);
  await sleep(OUTAGE_MS);
  const startedAnew = await world.startedAnew(before);
  for (const member of world.etcd.members) member.stall(false);
  await work.end();
  assert.equal(startedAnew, 0, "the same processes");
  assert.ok((await world.leader()).leader.epoch > epoch, "its term had ended");
});

test("fault 2: a leader that stands still for three leases: no write, no command of it is heard", async () => {
  const { leader, replica } = await world.leader();
  const work = await world.begin();
  process.kill(replica.pid, "SIGSTOP");
  const standing = sleep(3 * TTL_MS);
  await work.end();
  await standing;
  const store = await openStore(`etcd://${world.etcd.hosts}`);
  const epochs = world.epochs();
  const refused = await world.refused();
  const revision = await quiet(store);
  process.kill(replica.pid, "SIGCONT");
  await until("it to follow", async () => {
    const { epoch } = (await world.leaderBy(replica)) ?? leader;
    return epoch > leader.epoch;
  });
  const written = await store.range({ prefix: "", limit: 1 });
  await store.close();
  assert.equal(written.revision, revision, "it wrote nothing");
  assert.deepEqual(world.epochs(), epochs);
  assert.ok(epochs.every((epoch) => epoch > leader.epoch));
  assert.equal(await world.refused(), refused, "nothing of it came so far as to be refused");
  assert.equal(refused, 0);
});

/** The store's revision, once nothing has been written for a second. */
async function quiet(store: Store): Promise<number> {
  for (;;) {
    const { revision } = await store.range({ prefix: "", limit: 1 });
    await sleep(1_000);
    if ((await store.range({ prefix: "", limit: 1 })).revision === revision) return revision;
  }
}

test("threat 29: of two operators with one plan one wins, and the other is told of the conflict by exit code 6", async () => {
  const [, earlier] = (await world.rollouts()) as [unknown, { sha: string }];
  const planned = await world.millrace("deploy", earlier.sha, "--plan", "--json");
  const { revision } = JSON.parse(planned.stdout) as { revision: number };
  const deploy = () =>
    world.millrace("deploy", earlier.sha, "--revision", `${revision}`, "--no-wait");
  const ends = await Promise.all([deploy(), deploy()]);
  assert.deepEqual(ends.map(({ code }) => code).sort(), [0, 6], JSON.stringify(ends));
  await until("the one rollout to end", async () => {
    const [newest] = (await world.rollouts()) ?? [];
    return newest?.sha === earlier.sha && newest.state === RolloutState.ROLLOUT_STATE_SUCCEEDED;
  });
});

test("fault 32: etcd restored from a snapshot says what it lost, and is obeyed when told to go on", async () => {
  const snapshot = join(world.root, "snapshot.db");
  world.etcd.save(snapshot);
  const lost = await world.begin();
  await lost.end();
  await world.read("leader", "--resign");
  const before = await world.answers();
  const epochs = world.epochs();
  await world.killReplicas();
  await world.etcd.restore(snapshot);
  await world.startReplicas();

  const held = await until("what is missing", async () => {
    const report = await world.read<LeaderReport>("leader");
    return report.heard?.length === 1 && report;
  });
  assert.equal(held.missing?.length, 1);
  assert.equal(held.missing[0]?.service, SERVICE);
  for (const what of ["rollout", "release", "build"] as const) assert.ok(held.missing[0]?.[what]);
  const refused = await world.millrace("build", world.repository.path, "--no-wait", "--rebuild");
  assert.match(refused.stderr, /millrace leader --raise-incarnation/);

  const raised = await world.read<LeaderReport>("leader", "--raise-incarnation");
  assert.deepEqual([raised.missing, raised.kept], [held.missing, [SERVICE]]);
  assert.ok(raised.leader.epoch > RAISED && epochs.every((epoch) => epoch < RAISED));
  await until("the machines to follow", () => world.epochs().every((epoch) => epoch > RAISED));
  assert.deepEqual(await world.answers(), before, "nothing was switched, nothing started anew");
});
