// Disks that take a second for each flush, under a member of etcd, control planes and a worker that are real programs:
// nobody is taken for dead, because leases and heartbeats wait for no disk of their own program, and what is done ends
// well. Where all members of etcd are as slow, a lease of 3 s may end: what the store takes is what counts.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { Repository } from "../lab/repository.ts";
import { hookSample } from "../lab/sample-service.ts";
import { type SlowDisk, slowDisk } from "../lab/slow-disk.ts";
import { type StartedProgram, startProgram } from "../lab/start-program.ts";
import { until } from "../lab/until.ts";
import { submit } from "./queue-system.ts";
import { ReplicaWorld } from "./replica-world.ts";
import { releaseOf } from "./rollout-world.ts";

const FLUSH_MS = 1_000;
/** A flush fits 5 times into it, in production 13 times. */
const DETECT_MS = 5_000;
/** Many times what it takes, as other tests run beside it. */
const ENDS_MS = 180_000;

const world = await ReplicaWorld.start({ members: 3 });
let worker: StartedProgram<unknown> | undefined;
const slow: SlowDisk[] = [];
after(async () => {
  await Promise.all(slow.map((disk) => disk.restore()));
  await worker?.end("SIGKILL");
  await world.stop();
});

test("fault 16: each flush takes a second: the leader leads on, no worker is lost, a build and a rollout end once", async () => {
  for (let count = 0; count < 2; count += 1) {
    await world.addReplica({ flags: ["--build-detect", `${DETECT_MS}`] });
  }
  await world.addRelays(1, 4);
  const addresses = world.replicas.map(({ address }) => address).join(",");
  worker = await startProgram(
    "worker",
    [
      ...["--controlplane", addresses, "--root", join(world.root, "worker")],
      ...["--origin", `file:${join(world.root, "origin")}`],
    ],
    { MILLRACE_LOG: "error" },
  );
  const { leader, replica } = await world.leader(world.any);
  const follower = world.etcd.members.find((member) => member !== world.etcd.leader());
  for (const program of [follower, worker, ...world.replicas]) {
    slow.push(await slowDisk(program?.pid ?? 0, FLUSH_MS));
  }

  const repository = new Repository(join(world.root, "repository"));
  const run = `sleep ${(2 * DETECT_MS) / 1_000}`;
  const ref = repository.commit(hookSample({ service: "built", version: "1", run }));
  const other = world.other(replica);
  const { build } = await submit(other, { repository: repository.path, ref });
  const release = releaseOf("hello", "one", { waves: [{ percent: 100 }] });
  const id = await world.rollOut(other, release);
  const { builds, rollouts } = other;
  const built = await until("the end of the build", async () => {
    const seen = (await call(builds, builds.getBuild, { id: build!.id })).build;
    return seen?.endedAtMs !== 0 && seen;
  });
  assert.deepEqual([built.state, built.attempt], [BuildState.BUILD_STATE_SUCCEEDED, 1]);
  const ended = async () => {
    const seen = (await call(rollouts, rollouts.getRollout, { id })).rollout;
    return seen?.state === RolloutState.ROLLOUT_STATE_SUCCEEDED;
  };
  await until("the end of the rollout", ended, ENDS_MS);
  for (const { switched } of world.machines) assert.equal(switched.get(release.release), 1);
  const now = await world.leader(other);
  assert.equal(now.leader.epoch, leader.epoch, "one term through all of it");
});
