// Packs that nobody needs are collected, and no others: with the real control plane as a process, which is killed
// at every place of a collection, real stores and real origins, of one machine and of a cluster. Packs are small, and
// workers and relays are this test.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { encodeMark, markKey } from "../../controlplane/garbage/pack-mark-row.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { RolloutState, StartRolloutRequest } from "../../proto/gen/millrace/v1/rollouts.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { call } from "../../runtime/grpc/client.ts";
import { sealKey, segmentKey } from "../../runtime/release/pack-keys.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import { type Etcd, startEtcd } from "../lab/etcd.ts";
import { FakeGcs, fakeGcsMissing } from "../lab/fake-gcs.ts";
import { runMillrace } from "../lab/system.ts";
import { until } from "../lab/until.ts";
import { type ControlPlane, startControlPlane } from "./controlplane-process.ts";
import { complete, leaseOne, scratch, sealedRelease, submit } from "./queue-system.ts";
import { straightTo } from "./relay-ways.ts";
import { TestRelay } from "./rollout-relay.ts";

/** Nothing waits, and nothing is done unasked. */
const AT_ONCE = ["--keep-releases", "2", "--gc-every", "0", "--gc-wait", "0"];
const SEGMENTS = 3;
/** Before a control plane that does not answer, and lives, is asked again. */
const AGAIN_MS = 500;
/** A pack of a build that the store knows nothing of. */
const LEFTOVER = "b-00000000000000ff.1";

interface Fate {
  readonly pack: string;
  readonly verdict: string;
  readonly reason: string;
  readonly bytes: number;
}
interface Report {
  readonly held: string;
  readonly packs: readonly Fate[];
}

/** Where a world keeps what it has; `name` tells it from others. */
interface Place {
  store(name: string): string;
  origin(name: string): Promise<string>;
}

/** A control plane at a place of its own, which can be started again. */
class World {
  readonly folder = scratch();
  readonly armed = join(this.folder.root, "failpoints");
  readonly store: string;
  readonly origin: BlobStore;
  readonly #originUrl: string;
  plane!: ControlPlane;

  static async start(place: Place): Promise<World> {
    const name = randomUUID();
    const originUrl = await place.origin(name);
    const world = new World(place.store(name), originUrl, await openBlobStore(originUrl));
    await world.start(AT_ONCE);
    return world;
  }

  private constructor(store: string, originUrl: string, origin: BlobStore) {
    this.store = store;
    this.#originUrl = originUrl;
    this.origin = origin;
  }

  async start(flags: readonly string[]): Promise<void> {
    const { store, armed } = this;
    const all = ["--origin", this.#originUrl, ...flags];
    this.plane = await startControlPlane(this.folder.root, { store, armed, flags: all });
  }

  async again(flags: readonly string[]): Promise<void> {
    await this.plane.end("SIGTERM");
    await this.start(flags);
  }

  /** Builds a release of a service, whose packs are its own and those given. */
  async release(service: string, base: readonly Release[] = []): Promise<Release> {
    const { plane } = this;
    await submit(plane);
    const lease = await leaseOne(plane);
    const release = await sealedRelease(this, lease, service);
    const own = release.layout!.packs;
    for (const { pack } of own) await this.segments(pack);
    const packs = [...own, ...base.flatMap(({ layout }) => layout!.packs.slice(0, 1))];
    const made = { ...release, layout: { ...release.layout!, packs } };
    await complete(plane, lease, { $case: "release", release: made });
    return made;
  }

  async segments(pack: string): Promise<void> {
    for (let index = 0; index < SEGMENTS; index += 1) {
      await this.origin.put(segmentKey(pack, index), Buffer.alloc(100, index));
    }
  }

  /** What is left of a pack: "whole", "gone", or a part. */
  async left(pack: string): Promise<string> {
    const { blobs } = await this.origin.list(`packs/${pack}/`);
    const isSealed = blobs.some(({ key }) => key === sealKey(pack));
    if (blobs.length === SEGMENTS + 1 && isSealed) return "whole";
    // A layout that names it would be believed.
    assert.ok(!isSealed, `${pack} is sealed and has ${blobs.length - 1} segments`);
    return blobs.length === 0 ? "gone" : "a part";
  }

  /** `millrace gc`, as people run it. */
  async collect(...flags: string[]): Promise<Report> {
    const args = ["gc", ...flags, "--json", "--addr", this.plane.address];
    const { code, stdout, stderr } = await runMillrace(args);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Report;
  }

  /** Has the collector look, which may cost the control plane its life. */
  async collectSomehow(): Promise<void> {
    const { garbage, exited } = this.plane;
    let hasEnded = false;
    const ended = Promise.resolve(exited).then(() => {
      hasEnded = true;
    });
    await until("the collector to have looked", async () => {
      try {
        for await (const _ of garbage.collectGarbage({ dryRun: false }));
        return true;
      } catch (error) {
        // Dead, or another election: who is alive is asked again.
        assert.equal((error as { code?: number }).code, status.UNAVAILABLE, `${error}`);
        await Promise.race([ended, sleep(AGAIN_MS)]);
        return hasEnded;
      }
    });
    if (hasEnded) await this.start(AT_ONCE);
  }

  async stop(): Promise<void> {
    await this.plane.end("SIGTERM");
    await this.origin.close();
    this.folder.remove();
  }
}

const packOf = ({ layout }: Release): string => layout!.packs[0]!.pack;
const fateOf = ({ packs }: Report, pack: string): Fate | undefined =>
  packs.find((one) => one.pack === pack);

const root = scratch();
let etcd: Etcd | undefined;
let bucket: FakeGcs | undefined;
after(async () => {
  await etcd?.dispose();
  await bucket?.kill();
  root.remove();
});

const ONE_MACHINE: Place = {
  store: (name) => `sqlite:${join(root.root, `${name}.db`)}`,
  origin: async (name) => `file:${join(root.root, name)}`,
};
const CLUSTER: Place = {
  store: (name) => `etcd://${etcd?.hosts}/${name}`,
  origin: async (name) => {
    await bucket?.createBucket(name);
    return `gs://${name}/origin?endpoint=${bucket?.endpoint}`;
  },
};
/** Places of a collection; where another replica could lead, each kill waits for a lease to end. */
const EVERY_PLACE = [
  "controlplane.before-gc-txn",
  "controlplane.after-gc-txn",
  "controlplane.mid-gc-delete",
  "controlplane.before-gc-txn",
  "controlplane.after-gc-txn",
];

describe("on one machine, SQLite and files", () => cases(ONE_MACHINE, EVERY_PLACE));

describe("in a cluster, etcd and a bucket", { skip: fakeGcsMissing() }, () => {
  before(async () => {
    [etcd, bucket] = await Promise.all([startEtcd(), FakeGcs.start()]);
  });
  cases(CLUSTER, ["controlplane.mid-gc-delete"]);
});

function cases(place: Place, places: readonly string[]): void {
  const worlds: World[] = [];
  after(() => Promise.all(worlds.map((world) => world.stop())));

  async function newWorld(): Promise<World> {
    const world = await World.start(place);
    worlds.push(world);
    return world;
  }

  test("fault 1: killed at every place of a collection, it collects what nobody needs, and nothing else", async () => {
    const world = await newWorld();
    const oldest = await world.release("web");
    const deployed = await world.release("web");
    const unneeded = await world.release("web");
    const shared = await world.release("web", [oldest]);
    const newest = await world.release("web");
    const other = await world.release("api");
    await world.segments(LEFTOVER);
    const { plane } = world;
    await submit(plane);
    const lease = await leaseOne(plane);
    const growing = `${lease.build}.${lease.attempt}`;
    await world.segments(growing);
    const { rollouts } = plane;
    const request = StartRolloutRequest.fromPartial({ release: deployed.sha });
    await call(rollouts, rollouts.startRollout, request);

    // A build is under way that may still stand on what is marked: nothing is deleted before it has ended.
    const first = await world.collect();
    assert.equal(first.held, "");
    assert.equal(fateOf(first, packOf(unneeded))?.verdict, "mark");
    assert.equal(fateOf(first, LEFTOVER)?.reason, "left without a seal by an attempt that is over");
    assert.match(fateOf(first, growing)?.reason ?? "", /is making it/);
    assert.match(fateOf(first, packOf(deployed))?.reason ?? "", /^rollout r-/);
    assert.match(fateOf(first, packOf(oldest))?.reason ?? "", /one of the last 2 releases of web/);
    assert.equal(fateOf(await world.collect(), packOf(unneeded))?.verdict, "wait");
    const failure = { reason: "command", message: "exit 1" };
    await complete(plane, lease, { $case: "failure", failure });

    const kept = [oldest, deployed, shared, newest, other].map(packOf);
    writeFileSync(world.armed, places.join("\n"));
    await until("every place to be struck, and the packs to be gone", async () => {
      await world.collectSomehow();
      for (const pack of kept) assert.equal(await world.left(pack), "whole");
      const left = await Promise.all(
        [packOf(unneeded), LEFTOVER, growing].map((p) => world.left(p)),
      );
      return !existsSync(world.armed) && left.every((one) => one === "gone");
    });
    // The last place may have been struck behind an answer.
    await world.collectSomehow();
    const last = await world.collect();
    assert.deepEqual(
      last.packs.map(({ pack, verdict }) => `${verdict} ${pack}`).toSorted(),
      [
        `gone ${LEFTOVER}`,
        `gone ${packOf(unneeded)}`,
        // Looked at once more later: its worker may have stored another segment.
        `deleting ${growing}`,
        ...kept.map((pack) => `keep ${pack}`),
      ].toSorted(),
    );

    const again = StartRolloutRequest.fromPartial({ release: unneeded.sha });
    const { rollouts: now, builds } = world.plane;
    await assert.rejects(
      call(now, now.startRollout, again),
      /its packs were collected on \d{4}-\d\d-\d\d; build it again/,
    );
    // What is gone is built anew, what is there is joined.
    const build = await call(builds, builds.getBuild, { id: unneeded.sha });
    const anew = await submit(world.plane, { ref: unneeded.sha });
    assert.equal(anew.attached, false);
    assert.notEqual(anew.build?.id, build.build?.id);
    assert.equal((await submit(world.plane, { ref: newest.sha })).attached, true);
  });

  test("a rollout to a marked release takes the mark away; what machines have is kept; by itself it collects the rest", async () => {
    const world = await newWorld();
    const [marked, lastGood, unneeded] = [
      await world.release("web"),
      await world.release("web"),
      await world.release("web"),
    ];
    const [before, newest] = [await world.release("web"), await world.release("web")];
    const relay = new TestRelay(
      "relay-0",
      "region-0",
      2,
      straightTo(() => world.plane.address),
    );
    try {
      relay.lastGood.add(lastGood.release);
      relay.isSilent = true;
      await until("the relay to be connected", async () => {
        const { fleet } = world.plane;
        const { regions } = await call(fleet, fleet.listRegions, {});
        return regions.some(({ relays }) => relays.some(({ online }) => online));
      });
      const silent = await world.collect();
      assert.match(silent.held, /relay-0 did not say which releases its machines have/);
      assert.ok(silent.packs.every(({ verdict }) => verdict === "keep"));
      relay.isSilent = false;

      const dry = await world.collect("--dry-run");
      assert.equal(fateOf(dry, packOf(marked))?.verdict, "mark");
      assert.equal(fateOf(await world.collect(), packOf(marked))?.verdict, "mark", "it was dry");
      const { rollouts } = world.plane;
      const request = StartRolloutRequest.fromPartial({ release: marked.sha });
      const { rollout } = await call(rollouts, rollouts.startRollout, request);
      await until("the rollout to succeed", async () => {
        const now = await call(rollouts, rollouts.getRollout, { id: rollout!.id });
        return now.rollout?.state === RolloutState.ROLLOUT_STATE_SUCCEEDED;
      });
      await world.again(["--keep-releases", "1", "--gc-every", "50", "--gc-wait", "100"]);
      await until("what nobody needs to be gone", async () => {
        const left = await Promise.all([unneeded, before].map((one) => world.left(packOf(one))));
        return left.every((one) => one === "gone");
      });
      const report = await world.collect("--dry-run");
      assert.equal(fateOf(report, packOf(marked))?.reason, "assigned to web");
      assert.match(fateOf(report, packOf(lastGood))?.reason ?? "", /machines run it/);
      assert.match(fateOf(report, packOf(newest))?.reason ?? "", /one of the last 1 releases/);
      for (const one of [marked, lastGood, newest]) {
        assert.equal(await world.left(packOf(one)), "whole");
      }
    } finally {
      relay.stop();
    }
  });

  test("a build whose earlier pack was collected before its end is done again", async () => {
    const world = await newWorld();
    const base = await world.release("web");
    const { plane } = world;
    const { build } = await submit(plane);
    const lease = await leaseOne(plane);
    const { origin } = world;
    const release = await sealedRelease(world, lease, "web");
    const packs = [...release.layout!.packs, ...base.layout!.packs];
    // As if it had been away for a day: everything of its base is gone by now.
    await world.plane.end("SIGTERM");
    const store = await openStore(world.store);
    const mark = encodeMark({ state: "collected", atMs: Date.now(), reason: "as a test has it" });
    const operations = [{ put: markKey(packOf(base)), value: mark }];
    await store.transact({ compares: [], operations });
    await store.close();
    for (const { key } of (await origin.list(`packs/${packOf(base)}/`)).blobs)
      await origin.delete(key);
    await world.start(AT_ONCE);
    const stale = { ...release, layout: { ...release.layout!, packs } };
    await complete(world.plane, lease, { $case: "release", release: stale });
    const next = await leaseOne(world.plane);
    assert.deepEqual([next.build, next.attempt, next.base], [build!.id, 2, []]);
  });
}
