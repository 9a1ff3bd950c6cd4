// What a leader runs, for one term: the fleet's hub, the rollout engine, its part of the builds, and what keeps
// store and origin small. It is made anew from the store at each election, and thrown away when the term ends. Where the
// store went back, it is a term in which nothing is decided.
import type { BuildLimits } from "../../core/builds/build-limits.ts";
import type { DiagnosisServiceServer } from "../../proto/gen/millrace/v1/diagnosis.ts";
import type {
  FleetServiceServer,
  RelayHello,
  RelayServiceServer,
} from "../../proto/gen/millrace/v1/fleet.ts";
import type { GarbageServiceServer } from "../../proto/gen/millrace/v1/garbage.ts";
import type { RolloutServiceServer } from "../../proto/gen/millrace/v1/rollouts.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { monotonicNow } from "../../runtime/driver.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store } from "../../runtime/store/store.ts";
import {
  StoreUnavailableError,
  StoreUnknownOutcomeError,
} from "../../runtime/store/store-errors.ts";
import { type LedBuilds, leadBuilds } from "../builds/lead-builds.ts";
import type { Builds } from "../builds/start-builds.ts";
import { diagnosisService } from "../diagnosis/diagnosis-service.ts";
import { FleetWatch } from "../diagnosis/fleet-watch.ts";
import { type Fence, FenceLostError } from "../fence.ts";
import { createFleet } from "../fleet/fleet.ts";
import type { RelayHub } from "../fleet/relay-hub.ts";
import type { GarbageLimits } from "../garbage/collector.ts";
import { startGarbage } from "../garbage/garbage.ts";
import { readKept as readKeptReleases } from "../garbage/kept-now.ts";
import type { Archive } from "../history/archive.ts";
import { Archivist } from "../history/archivist.ts";
import { startCompacting } from "../history/compactor.ts";
import { Past } from "../history/past.ts";
import type { RolloutEngine } from "../rollouts/rollout-engine.ts";
import { createRollouts } from "../rollouts/rollouts.ts";
import { HeldTerm } from "./held-term.ts";
import { markBehind, readBehind } from "./leader-row.ts";
import { raiseSchema } from "./schema-row.ts";
import { nameStore, type StoreName } from "./store-name.ts";

export interface TermOptions {
  readonly store: Store;
  readonly origin: BlobStore;
  readonly archive: Archive;
  /** Ended builds and rollouts stay in the store so long, milliseconds. */
  readonly hotMs: number;
  /** What rows were before is forgotten after so long, milliseconds; 0: never. */
  readonly compactMs: number;
  /** Writes a second of all rollouts together. */
  readonly rolloutWritesPerS: number;
  readonly fence: Fence;
  readonly builds: Pick<Builds, "table" | "live" | "overview" | "workers">;
  /** A folder on the disk of the store, where that is a file's; for diagnosis. */
  readonly folder: string | undefined;
  readonly limits: BuildLimits;
  readonly garbage: GarbageLimits;
  readonly log: Log;
  /** The term is to end: the store has refused a write of it, or is away. */
  readonly onFenceLost: () => void;
  /** Nothing may be decided here any more: a broken row. */
  readonly onBroken: (why: string, error?: unknown) => void;
}

/** A term in which the leader decides. */
export interface LedTerm {
  readonly kind: "led";
  readonly fence: Fence;
  readonly hub: RelayHub;
  readonly engine: RolloutEngine;
  readonly rolloutService: RolloutServiceServer;
  readonly fleetService: FleetServiceServer;
  readonly relayService: RelayServiceServer;
  readonly garbageService: GarbageServiceServer;
  readonly diagnosisService: DiagnosisServiceServer;
  readonly overallLeftMs: LedBuilds["overallLeftMs"];
  /** Decides and sends nothing from now on; resolves when what is under way has ended. */
  stop(): Promise<void>;
}

/** A term under way. */
export type Term = LedTerm | HeldTerm;

/** Reads what the term begins from; relays are taken when this resolves. */
export async function startTerm(options: TermOptions): Promise<Term> {
  const { store, fence, builds, log } = options;
  await raiseSchema(store, fence);
  const storeName = await nameStore(store, fence);
  const behind = await readBehind(store);
  if (behind !== undefined) {
    return new HeldTerm({ store, storeName, fence, builds: builds.table, behind, log });
  }
  return startLedTerm(options, storeName);
}

async function startLedTerm(options: TermOptions, storeName: StoreName): Promise<LedTerm> {
  const { store, archive, fence, builds, log, onFenceLost, onBroken } = options;
  const now = monotonicNow;
  const onBehind = (seen: RelayHello): void => {
    // Where another leads by now, the higher epoch is its own, and nothing is written down.
    markBehind(store, fence, seen)
      .catch((error: unknown) =>
        log.error({ err: error }, "could not write down that it is behind"),
      )
      .finally(onFenceLost);
  };
  const fleet = await createFleet({ store, fence, storeName, log, now, onBehind });
  const rollouts = await createRollouts({
    store,
    past: new Past(archive),
    fence,
    fleet,
    log,
    now,
    writesPerS: options.rolloutWritesPerS,
    onBroken: (error) => {
      if (isPassing(error)) onFenceLost();
      else onBroken("rollouts cannot go on", error);
    },
  });
  const releasesInUse = (awayMs: number) => fleet.uses.find(awayMs);
  const { keepReleases, waitMs } = options.garbage;
  const readKept = () => readKeptReleases(store, keepReleases, () => releasesInUse(waitMs));
  const archivist = new Archivist({ ...options, readKept });
  const watch = new FleetWatch(fleet.hub, now);
  const stopCompacting = startCompacting({ ...options, keptMs: options.compactMs });
  const led = leadBuilds({ ...options, ...builds, packs: fleet.packFeed });
  const garbage = await startGarbage({ ...options, limits: options.garbage, releasesInUse });
  fleet.ready();
  return {
    kind: "led",
    fence,
    hub: fleet.hub,
    engine: rollouts.engine,
    rolloutService: rollouts.service,
    fleetService: fleet.fleetService({
      builds: () => builds.overview(),
      rollouts: () => rollouts.glance(),
    }),
    relayService: fleet.relayService,
    garbageService: garbage.service,
    diagnosisService: diagnosisService(
      {
        ...{ store, fence, fleet, watch, now, folder: options.folder },
        origin: options.origin,
        live: builds.live,
        workers: () => builds.workers(),
        engine: rollouts.engine,
      },
      log,
    ),
    overallLeftMs: led.overallLeftMs,
    stop: async () => {
      rollouts.stop();
      stopCompacting();
      fleet.close();
      await Promise.all([led.stop(), archivist.stop(), garbage.stop()]);
    },
  };
}

/** What the next term makes good: it begins from what is written down. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof FenceLostError ||
    error instanceof StoreUnavailableError ||
    error instanceof StoreUnknownOutcomeError
  );
}
