// What the leader alone does for builds: it keeps their deadlines, and tells the fleet of packs that grow.
import type { BuildLimits } from "../../core/builds/build-limits.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store } from "../../runtime/store/store.ts";
import type { Fence } from "../fence.ts";
import type { BuildTable } from "./build-table.ts";
import { DeadlineSweeper } from "./deadline-sweeper.ts";
import type { LiveBuilds } from "./live-builds.ts";
import { OrderFeed } from "./order-feed.ts";
import type { PackFeed } from "./pack-feed.ts";

export interface LeadBuildsOptions {
  readonly store: Store;
  readonly fence: Fence;
  readonly table: BuildTable;
  readonly live: LiveBuilds;
  readonly packs: PackFeed;
  readonly limits: BuildLimits;
  readonly log: Log;
  /** Another control plane has taken over; this one decides no more. */
  readonly onFenceLost: () => void;
}

/** The leader's part, for one term. */
export interface LedBuilds {
  /** What is left of a live build's overall limit; undefined: not known. */
  overallLeftMs(build: string): number | undefined;
  /** Ends it, and waits for the changes that are under way. */
  stop(): Promise<void>;
}

/** Begins the leader's part; every lease has its full window from now on. */
export function leadBuilds(options: LeadBuildsOptions): LedBuilds {
  const sweeper = new DeadlineSweeper(options);
  const orders = new OrderFeed(options.packs, options.live);
  return {
    overallLeftMs: (build) => sweeper.overallLeftMs(build),
    stop: async () => {
      orders.close();
      await sweeper.stop();
    },
  };
}
