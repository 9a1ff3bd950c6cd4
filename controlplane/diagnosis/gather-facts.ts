// Gathers what a diagnosis looks at, by the leader: a few writes of the store, a blob at the origin, one question
// to each relay, and what is in memory anyway.

import { isLive } from "../../core/builds/build-row.ts";
import type {
  ClusterFacts,
  QueueFacts,
  RegionFacts,
  RolloutFacts,
  StoreFacts,
} from "../../core/diagnosis/facts.ts";
import type { Instant } from "../../core/machine.ts";
import { probeBlobs } from "../../runtime/blobs/blob-probe.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { freeSpace } from "../../runtime/program/free-space.ts";
import type { Store } from "../../runtime/store/store.ts";
import { VERSION } from "../../runtime/version.ts";
import type { LiveBuilds } from "../builds/live-builds.ts";
import type { Fence } from "../fence.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { RolloutEngine } from "../rollouts/rollout-engine.ts";
import type { FleetWatch } from "./fleet-watch.ts";

/** Written to see how long that takes. */
const PROBE_KEY = "diagnosis/probe";
/** The least of so many says how fast the store is, the others how busy. */
const WRITES = 3;
/** Failing machines that are counted in a region; more are bad enough. */
const FAILING_MAX = 1_000;

export interface FactSources {
  readonly store: Store;
  readonly fence: Fence;
  readonly origin: BlobStore;
  /** A folder on the disk that the control plane's own store lies on; undefined: it has none. */
  readonly folder: string | undefined;
  readonly live: LiveBuilds;
  /** Workers that this replica has heard of lately. */
  readonly workers: () => number;
  readonly fleet: Fleet;
  readonly watch: FleetWatch;
  readonly engine: RolloutEngine;
  readonly now: () => Instant;
}

/** All facts as of now. */
export async function gatherFacts(sources: FactSources): Promise<ClusterFacts> {
  const { fence, fleet, watch, origin, folder } = sources;
  const names = [...new Set(fleet.hub.known.map(({ region }) => region))].sort();
  const [store, originTrouble, own, regions] = await Promise.all([
    storeFacts(sources),
    probeBlobs(origin, `leader-${fence.epoch}`),
    folder === undefined ? undefined : freeSpace(folder),
    Promise.all(names.map((region) => regionFacts(sources, region))),
  ]);
  const disks = fleet.hub.sessions.flatMap(({ relay }) => watch.last(relay)?.disk ?? []);
  if (own !== undefined) disks.push({ owner: "control plane", ...own });
  const queue = queueFacts(sources);
  const rollouts = rolloutFacts(sources);
  return { version: VERSION, store, originTrouble, disks, regions, queue, rollouts };
}

async function storeFacts({ store, fence }: FactSources): Promise<StoreFacts> {
  const condition = store.condition?.();
  let writeMs: number | undefined;
  let trouble = "";
  try {
    const times: number[] = [];
    for (let count = 0; count < WRITES; count += 1) {
      const startedAt = performance.now();
      const operations = [{ put: PROBE_KEY, value: new Uint8Array(1) }];
      const { committed } = await store.transact({ compares: [fence.compare], operations });
      if (!committed) throw new Error("another control plane has taken over");
      times.push(performance.now() - startedAt);
    }
    writeMs = Math.min(...times);
  } catch (error) {
    trouble = (error as Error).message;
  }
  const { members, alarms } = (await condition) ?? { members: [], alarms: [] };
  return { isShared: !store.isExclusive, writeMs, trouble, members, alarms };
}

async function regionFacts(sources: FactSources, region: string): Promise<RegionFacts> {
  const { fleet, watch, now } = sources;
  const { hub, tracker, directory } = fleet;
  const online = new Map(hub.sessions.map((session) => [session.relay, session]));
  const relays = hub.known
    .filter((row) => row.region === region)
    .map(({ relay, version, capacity }) => {
      const last = watch.last(relay);
      return {
        relay,
        isOnline: online.has(relay),
        silentMs: last && now() - last.at,
        version: online.get(relay)?.info.version ?? version,
        clockAheadMs: last?.clockAheadMs,
        agents: online.get(relay)?.agents ?? 0,
        capacity,
      };
    });
  const question = { region, failingOnly: true, prefix: "", after: "", limit: FAILING_MAX };
  const failing = await directory.find(question).then(
    (agents) => agents.length,
    () => undefined,
  );
  const missing = hub.packs
    .missing(region)
    .map(({ pack, forMs }) => ({ pack, forMs, error: tracker.error(region, pack) }));
  const agents = relays.reduce((sum, relay) => sum + relay.agents, 0);
  return { region, relays, agents, agentsPeak: watch.peak(region), failing, missing };
}

function queueFacts({ live, workers }: FactSources): QueueFacts {
  const rows = [...live.rows].filter(isLive);
  const queued = rows.filter(({ state }) => state === "queued");
  const oldestAtMs = Math.min(...queued.map(({ createdAtMs }) => createdAtMs));
  return {
    queued: queued.length,
    oldestMs: queued.length === 0 ? 0 : Math.max(0, Date.now() - oldestAtMs),
    leased: rows.length - queued.length,
    workers: workers(),
  };
}

function rolloutFacts({ engine, fleet }: FactSources): RolloutFacts[] {
  return engine.all.map(({ record, progress }) => {
    const { id, service, row, policy, updatedAtMs } = record;
    const regions = progress.regions(record, fleet.hub, fleet.tracker);
    return {
      id,
      service,
      state: row.state,
      isPaused: row.paused,
      unchangedMs: Math.max(0, Date.now() - updatedAtMs),
      failuresPercent: policy.failuresPercent,
      matching: regions.reduce((sum, { matching }) => sum + matching, 0),
    };
  });
}
