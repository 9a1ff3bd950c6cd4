// Releases that nobody keeps, let go by a real archivist on a real store: the newest of a service stay, and what
// runs; a build whose release is gone is made anew for who asks, and answered to who asked before.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { readKept } from "../../controlplane/garbage/kept-now.ts";
import { Archive } from "../../controlplane/history/archive.ts";
import { Archivist } from "../../controlplane/history/archivist.ts";
import { prepareRows } from "../../controlplane/rollouts/new-rollout.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { RolloutPolicy } from "../../proto/gen/millrace/v1/release_format.ts";
import { call } from "../../runtime/grpc/client.ts";
import { until } from "../lab/until.ts";
import { leaseOne, scratch, startQueue, submit, succeed } from "./queue-system.ts";

const SERVICE = "hello";
const REPOSITORY = "https://git.invalid/hello";
const KEPT = 10;
/** So many more than are kept in any case. */
const MORE = 4;

const folder = scratch();
const queue = await startQueue(folder.root);
after(async () => {
  await queue.stop();
  folder.remove();
});

test("the newest releases of a service stay, what a rollout brings, and what machines have; others are let go", async () => {
  const made: Release[] = [];
  for (let nth = 0; nth < KEPT + MORE; nth += 1) {
    const ref = nth.toString(16).padStart(40, "0");
    await submit(queue, { repository: REPOSITORY, ref, requester: `q${nth}` });
    made.push(await succeed(queue, await leaseOne(queue), SERVICE));
  }
  const listed = async (): Promise<string[]> => {
    const request = { service: SERVICE, limit: 0, pageToken: "" };
    const { releases } = await call(queue.releases, queue.releases.listReleases, request);
    return releases.map(({ sha }) => sha);
  };
  const all = await listed();
  const [newest, oldest] = [all.slice(0, KEPT), all.at(-1) ?? ""];
  await beginRollout(oldest);
  const archive = new Archive(queue.origin);
  const { fence, store } = queue;
  const onMachines = new Set([made[1]?.release ?? ""]);
  const archivist = new Archivist({
    ...{ store, archive, fence, hotMs: 1, log: queue.log },
    readKept: () => readKept(store, KEPT, async () => ({ known: true, digests: onMachines })),
    onFenceLost: () => assert.fail("the fence is lost"),
  });
  await until("the others to be let go", async () => (await listed()).length === newest.length + 2);
  await archivist.stop();
  assert.deepEqual(await listed(), [...newest, made[1]?.sha, oldest]);
  const segments = await archive.segments(new Date().toISOString().slice(0, 10));
  const archived = segments.filter(({ kind }) => kind === "releases");
  const rows = (await Promise.all(archived.map((one) => archive.read(one)))).flat();
  assert.equal(new Set(rows.map(({ place }) => place)).size, MORE - 2);

  const gone = all[KEPT] ?? "";
  const nth = Number.parseInt(gone, 16);
  const repeated = await submit(queue, { repository: REPOSITORY, ref: gone, requester: `q${nth}` });
  assert.ok(repeated.attached, "who asked before has the answer from before");
  const anew = await submit(queue, { repository: REPOSITORY, ref: gone });
  assert.ok(!anew.attached, "its release is gone, so it is built again");
  const kept = await submit(queue, { repository: REPOSITORY, ref: oldest });
  assert.ok(kept.attached);
});

/** The rows of a rollout of this release, as a build that is shipped would begin it. */
async function beginRollout(sha: string): Promise<void> {
  const request = { id: sha, service: SERVICE };
  const { release } = await call(queue.releases, queue.releases.getRelease, request);
  if (release === undefined) throw new Error(`no release of ${sha}`);
  const policy = RolloutPolicy.fromPartial({ waves: [{ percent: 100 }] });
  const more = { excludedRegions: [], supersede: false, build: "", traceparent: "" };
  const rows = await prepareRows(queue.store, { release, policy, ...more });
  assert.ok((await queue.store.transact(rows)).committed);
}
