// Releases that nobody keeps, let go by a real archivist on a real store: the newest of a service stay, and what
// runs; a build whose release is gone is made anew for who asks, and answered to who asked before.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { statePrefix } from "../../controlplane/builds/build-keys.ts";
import { readKept } from "../../controlplane/garbage/kept-now.ts";
import { Archive } from "../../controlplane/history/archive.ts";
import { Archivist } from "../../controlplane/history/archivist.ts";
import { prepareRows } from "../../controlplane/rollouts/new-rollout.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { RolloutPolicy } from "../../proto/gen/millrace/v1/release_format.ts";
import { call } from "../../runtime/grpc/client.ts";
import type { RangeOptions, Store } from "../../runtime/store/store.ts";
import { until } from "../lab/until.ts";
import { leaseOne, scratch, startQueue, submit, succeed } from "./queue-system.ts";

const SERVICE = "hello";
const REPOSITORY = "https://git.invalid/hello";
const KEPT = 10;
/** So many more than are kept in any case. */
const MORE = 4;
/** Ranges that two more sweeps read. */
const SWEPT = 4;

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
  let asked = 0;
  let sweeps = 0;
  const archivist = new Archivist({
    ...{ archive, fence, hotMs: 1, log: queue.log },
    store: noting(store, ({ prefix }) => {
      if (prefix === statePrefix("succeeded")) sweeps += 1;
    }),
    readKept: () => {
      asked += 1;
      return readKept(store, KEPT, async () => ({ known: true, digests: onMachines }));
    },
    onFenceLost: () => assert.fail("the fence is lost"),
  });
  await until("the others to be let go", async () => (await listed()).length === newest.length + 2);
  const before = sweeps;
  await until("some sweeps that find nothing", () => sweeps >= before + SWEPT);
  await archivist.stop();
  assert.ok(asked <= 2, `releases were read ${asked} times`);
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

/** The store, telling of each range that is read. */
function noting(store: Store, onRange: (options: RangeOptions) => void): Store {
  return new Proxy(store, {
    get: (target, name: keyof Store) => {
      const value = target[name];
      if (typeof value !== "function") return value;
      return (...args: [never]) => {
        if (name === "range") onRange(args[0]);
        return (value as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}

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
