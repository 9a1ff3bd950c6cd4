// A store that has grown: builds that are submitted, leased, logged, completed and rolled out over gRPC, as fast as
// two cores let them, then whatever has ended archived. What is left is summed up key by key.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { HOT_ROWS_MAX } from "../../core/history/archive-plan.ts";
import { call } from "../../runtime/grpc/client.ts";
import { type Store, walk } from "../../runtime/store/store.ts";
import {
  type ControlPlane,
  startControlPlane,
} from "../../test/integration/controlplane-process.ts";
import { submit } from "../../test/integration/queue-system.ts";
import { straightTo } from "../../test/integration/relay-ways.ts";
import { until } from "../../test/lab/until.ts";
import type { Ground } from "./design-load.ts";
import { RelayOfServices } from "./relay-of-services.ts";
import { VirtualWorkers } from "./virtual-workers.ts";
import { whileAway } from "./while-away.ts";

const SERVICES = Array.from({ length: 20 }, (_, index) => `grown-${index}`);
const REGIONS = 10;
const WORKERS = 40;
const PACE = { reportMs: 200, stepMs: 5 };
const LOOK_MS = 250;
/** All rollouts of the design load make 15 writes a second; here a day goes by in a minute. */
const FAST = ["--rollout-writes", "10000"];
/** A sweep each 43 s instead of each 5 min; what goes does so by its number. */
const SWEEPING = ["--history-hot", "1"];
const SHIP = {
  targets: {},
  overrideTargets: false,
  excludedRegions: [],
  supersede: false,
  urgent: false,
};
/** Archiving 6,000 of each kind takes some 2 min. */
const ARCHIVED_MS_MAX = 15 * 60_000;
/** Rows that stay beyond: the newest rollout and ten releases of each service, and rows of one millisecond. */
const STAYING_MAX = 11 * SERVICES.length + 10;
/** What etcd's keys of ours begin with. */
const KEY_PREFIX_BYTES = Buffer.byteLength("millrace/keys/");

/** What the store and the archive hold. */
export interface Grown {
  readonly liveMb: number;
  readonly liveKeys: number;
  readonly archiveMb: number;
  readonly archiveBlobs: number;
}

/** Grows it by so many builds, each with its rollout; resolves when all that is to be archived is. */
export async function grownStore(ground: Ground, count: number): Promise<Grown> {
  const { root, url, store, origin, say } = ground;
  let plane = await startControlPlane(root, { store: url, flags: FAST });
  const relays = Array.from({ length: REGIONS }, (_, index) => {
    const open = straightTo(() => plane.address);
    const about = { id: `relay-${index}`, region: `region-${index}`, machines: 1 };
    return new RelayOfServices({ ...about, services: SERVICES, pace: PACE, open });
  });
  const workers = new VirtualWorkers({
    ...{ plane, origin, count: WORKERS },
    buildMs: () => 0,
    serviceOf: (repository) => repository.split("/").at(-1) ?? "",
    onEnded: () => {},
  });
  try {
    await shipAll(plane, count, say);
    await workers.stop();
    await plane.end("SIGTERM");
    // Its relays come along: only they know which releases machines still have.
    plane = await startControlPlane(root, { store: url, flags: SWEEPING });
    await archived(ground);
  } finally {
    for (const relay of relays) relay.stop();
    await plane.end("SIGKILL");
  }
  const live = await sizeOf(store);
  const archive = { bytes: 0, blobs: 0 };
  let after: string | undefined;
  for (;;) {
    const page = await origin.list("history/", after === undefined ? {} : { after });
    archive.blobs += page.blobs.length;
    archive.bytes += page.blobs.reduce((sum, { bytes }) => sum + bytes, 0);
    after = page.blobs.at(-1)?.key;
    if (!page.more) break;
  }
  return {
    liveMb: live.bytes / 1e6,
    liveKeys: live.keys,
    archiveMb: archive.bytes / 1e6,
    archiveBlobs: archive.blobs,
  };
}

async function shipAll(plane: ControlPlane, count: number, say: Ground["say"]): Promise<void> {
  let begun = 0;
  let done = 0;
  // Of each service one is built while the one before is rolled out.
  const shipping = [...SERVICES, ...SERVICES].map(async (service) => {
    while (begun < count) {
      begun += 1;
      await shipOne(plane, service);
      done += 1;
      if (done % 500 === 0) say(`${done} builds and rollouts`);
    }
  });
  await Promise.all(shipping);
}

/** What a build or a rollout may take: on a machine that does much else beside, when all services ship at once. */
const ENDED_MS_MAX = 15 * 60_000;

/** One build of a service and the rollout that follows it; rejects where either does not succeed. */
async function shipOne(plane: ControlPlane, service: string): Promise<void> {
  const { builds, rollouts } = plane;
  const repository = `https://git.invalid/${service}`;
  const requester = randomBytes(8).toString("hex");
  const request = { repository, service, requester, ref: randomBytes(20).toString("hex") };
  const { build } = await whileAway(() => submit(plane, { ...request, ship: SHIP }));
  const id = build?.id ?? "";
  const ended = async (): Promise<string | false | undefined> => {
    await sleep(LOOK_MS);
    const { build: now } = await whileAway(() => call(builds, builds.getBuild, { id }));
    if (now?.message) throw new Error(now.message);
    return now?.endedAtMs !== 0 && now?.rollout;
  };
  const rollout = await until(`build ${id}`, ended, ENDED_MS_MAX);
  const rolledOut = async (): Promise<boolean> => {
    await sleep(LOOK_MS);
    const ask = () => call(rollouts, rollouts.getRollout, { id: rollout });
    const { rollout: now } = await whileAway(ask);
    if (now?.reason) throw new Error(now.message);
    return now?.endedAtMs !== 0;
  };
  await until(`rollout ${rollout}`, rolledOut, ENDED_MS_MAX);
}

/** Resolves when as much is archived as is to be. */
async function archived({ store, say }: Ground): Promise<void> {
  const counts = async (): Promise<number[]> => {
    const prefixes = ["builds-by-state/succeeded/", "rollouts-by-time/", "releases-by-time/"];
    return Promise.all(prefixes.map((prefix) => countOf(store, prefix)));
  };
  const most = [HOT_ROWS_MAX, HOT_ROWS_MAX, HOT_ROWS_MAX].map((count) => count + STAYING_MAX);
  let last = 0;
  const isArchived = async (): Promise<boolean> => {
    const now = await counts();
    if (performance.now() > last + 10_000) {
      say(`builds, rollouts and releases: ${now.join(", ")}`);
      last = performance.now();
    }
    await sleep(1_000);
    return now.every((count, index) => count <= (most[index] ?? 0));
  };
  await until("what has ended to be archived", isArchived, ARCHIVED_MS_MAX);
}

async function countOf(store: Store, prefix: string): Promise<number> {
  let count = 0;
  for await (const _ of walk(store, prefix)) count += 1;
  return count;
}

async function sizeOf(store: Store): Promise<{ readonly keys: number; readonly bytes: number }> {
  let keys = 0;
  let bytes = 0;
  for await (const { key, value } of walk(store, "")) {
    keys += 1;
    bytes += KEY_PREFIX_BYTES + Buffer.byteLength(key) + value.length;
  }
  return { keys, bytes };
}
