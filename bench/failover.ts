// How long the fleet is without a leader: three replicas as processes on a real etcd, relays with the link of the
// relay program, a rollout in its first wave and a build in the queue. The leader is killed -9, trial by trial; the
// time is from the kill to the first heartbeat of the new epoch at the slowest relay. Then leaders stand still for
// three leases and go on: what they still write is counted, and what relays obey of them. `--trials 20`, `--relays 4`.
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { BuildState } from "../proto/gen/millrace/v1/builds.ts";
import { RolloutState } from "../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../runtime/grpc/client.ts";
import type { ControlPlane } from "../test/integration/controlplane-process.ts";
import { submit } from "../test/integration/queue-system.ts";
import { ReplicaWorld } from "../test/integration/replica-world.ts";
import { releaseOf } from "../test/integration/rollout-world.ts";
import { until } from "../test/lab/until.ts";
import { median, printFigures } from "./lab/figures.ts";

const REPLICAS = 3;
const MACHINES = 8;
const TTL_MS = 3_000;
const POLICY = {
  maxUnavailablePercent: 100,
  waves: [{ percent: 25, bakeMs: 500 }, { percent: 100 }],
};

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    trials: { type: "string", default: "20" },
    stops: { type: "string", default: "2" },
    relays: { type: "string", default: "4" },
  },
});
const world = await ReplicaWorld.start();
const leaderless: number[] = [];
const sums = { lost: 0, doubled: 0, stale: 0 };
try {
  for (let count = 0; count < REPLICAS; count += 1) await world.addReplica();
  await world.addRelays(Number(values.relays), MACHINES);
  for (let trial = 1; trial <= Number(values.trials); trial += 1) {
    leaderless.push(await killed(trial));
    if (!values.json) console.log(`trial ${trial}: ${leaderless.at(-1)?.toFixed(3)} s`);
  }
  for (let stop = 1; stop <= Number(values.stops); stop += 1) await stopped(stop);
  sums.stale += world.obeyedLate.length;
} finally {
  await world.stop();
}
printFigures("failover", {
  trials: leaderless.length,
  median_s: median(leaderless),
  worst_s: Math.max(...leaderless),
  lost: sums.lost,
  doubled: sums.doubled,
  stale_accepted: sums.stale,
});

/** Kills the leader in mid-rollout and starts another replica in its place; seconds without a leader. */
async function killed(trial: number): Promise<number> {
  const { leader, replica } = await world.leader(world.any);
  const other = world.other(replica);
  const follow = await begin(other, `kill ${trial}`);
  const killedAt = performance.now();
  await world.kill(replica);
  const next = await world.leader(other, leader.epoch);
  const heard = await until("the relays", () => {
    const at = world.links.map(({ epochs }) => epochs.get(next.leader.epoch));
    return at.every((one) => one !== undefined) && at;
  });
  await follow();
  await world.addReplica({ address: replica.address });
  return (Math.max(...heard.map((at) => at ?? 0)) - killedAt) / 1_000;
}

/** Has the leader stand still for three leases, and counts what it writes when it goes on. */
async function stopped(stop: number): Promise<void> {
  const { leader, replica } = await world.leader(world.any);
  const other = world.other(replica);
  const follow = await begin(other, `stop ${stop}`);
  process.kill(replica.pid, "SIGSTOP");
  const standing = sleep(3 * TTL_MS);
  const next = await world.leader(other, leader.epoch);
  await follow();
  await standing;
  const { revision } = await world.store.range({ prefix: "", limit: 1 });
  process.kill(replica.pid, "SIGCONT");
  await world.leader(replica, next.leader.epoch - 1);
  const written = await world.store.range({ prefix: "", limit: 1 });
  sums.stale += written.revision - revision;
}

/** Begins a rollout and a build; the answer sees them through, and counts what is lost or happened twice. */
async function begin(through: ControlPlane, name: string): Promise<() => Promise<void>> {
  const release = releaseOf("hello", name, POLICY);
  const id = await world.rollOut(through, release);
  const { build } = await submit(through);
  const count = (): number[] =>
    world.machines.map(({ switched }) => switched.get(release.release) ?? 0);
  await until("the first wave", () => count().some((switches) => switches > 0));
  return async () => {
    const { rollouts, builds } = through;
    const ended = await until("the end of the rollout", async () => {
      const answer = await call(rollouts, rollouts.getRollout, { id }).catch(() => undefined);
      return answer?.rollout?.endedAtMs !== 0 && answer?.rollout;
    });
    const kept = (await call(builds, builds.getBuild, { id: build?.id ?? "" })).build;
    if (ended.state !== RolloutState.ROLLOUT_STATE_SUCCEEDED) sums.lost += 1;
    if (kept?.state !== BuildState.BUILD_STATE_QUEUED) sums.lost += 1;
    sums.doubled += count().filter((switches) => switches > 1).length;
  };
}
