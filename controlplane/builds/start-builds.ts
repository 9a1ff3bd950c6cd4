// Puts the queue together and starts it: table, sweeper, desks and the services on top. The order matters:
// all listeners are there before the first row is told.
import type { BuildLimits } from "../../core/builds/build-limits.ts";
import {
  type Build,
  BuildServiceService,
  ReleaseServiceService,
} from "../../proto/gen/millrace/v1/builds.ts";
import { WorkerServiceService } from "../../proto/gen/millrace/v1/workers.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import type { GrpcServerOptions } from "../../runtime/grpc/server.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store } from "../../runtime/store/store.ts";
import type { Fence } from "../fence.ts";
import { AttemptDesk } from "./attempt-desk.ts";
import { BuildLogs } from "./build-logs.ts";
import { buildMessage } from "./build-message.ts";
import { measureBuilds } from "./build-metrics.ts";
import { buildService } from "./build-service.ts";
import { BuildTable } from "./build-table.ts";
import { DeadlineSweeper } from "./deadline-sweeper.ts";
import { LeaseDesk } from "./lease-desk.ts";
import { LiveBuilds } from "./live-builds.ts";
import { OrderFeed } from "./order-feed.ts";
import type { PackFeed } from "./pack-feed.ts";
import { PackGarbage } from "./pack-garbage.ts";
import { releaseService } from "./release-service.ts";
import type { ShipChain } from "./ship-chain.ts";
import { WorkerRoster } from "./worker-roster.ts";
import { workerService } from "./worker-service.ts";

/** Live builds shown at a glance. */
const GLANCE_MAX = 20;

export interface BuildsOptions {
  readonly store: Store;
  readonly origin: BlobStore;
  readonly fence: Fence;
  readonly ship: ShipChain;
  readonly packs: PackFeed;
  readonly limits: BuildLimits;
  /** How often workers are told to heartbeat, milliseconds. */
  readonly heartbeatMs: number;
  readonly log: Log;
  /** Another control plane has taken over; this one must end. */
  readonly onFenceLost: () => void;
}

/** A running queue. */
export interface Builds {
  readonly services: GrpcServerOptions["services"];
  /** Live builds, newest first, and the number of workers: what people see at a glance. */
  overview(): Promise<{ readonly builds: Build[]; readonly workers: number }>;
  /** Sends waiting workers and watchers away; call it before the server closes. */
  close(): void;
  /** Ends sweeps and what is under way; call it after the server has closed. */
  stop(): Promise<void>;
}

/** Starts the queue of the leader on what the store holds. */
export async function startBuilds(options: BuildsOptions): Promise<Builds> {
  const { store, origin, ship, limits, log, heartbeatMs } = options;
  const table = new BuildTable(store, options.fence);
  const live = new LiveBuilds(log);
  const logs = new BuildLogs(origin);
  const { onFenceLost } = options;
  const sweeper = new DeadlineSweeper({ table, live, limits, log, onFenceLost });
  const orders = new OrderFeed(options.packs, live);
  const overallLeftMs = (build: string): number | undefined => sweeper.overallLeftMs(build);
  const leases = new LeaseDesk({ table, live, limits, overallLeftMs });
  const attempts = new AttemptDesk({ table, live, logs, sweeper, orders });
  const complete = { table, live, logs, origin, ship, log };
  const roster = new WorkerRoster();
  const garbage = new PackGarbage({ store, origin, log });
  measureBuilds(live, roster);
  await live.start(store, table);
  await garbage.start();
  return {
    services: [
      {
        definition: BuildServiceService,
        implementation: buildService({ store, table, live, logs, ship, log }),
      },
      { definition: ReleaseServiceService, implementation: releaseService(store, log) },
      {
        definition: WorkerServiceService,
        implementation: workerService({
          store,
          table,
          leases,
          attempts,
          roster,
          complete,
          heartbeatMs,
          log,
        }),
      },
    ],
    overview: async () => {
      const page = await table.page({ service: "", states: ["queued", "leased"] }, "", GLANCE_MAX);
      const builds = page.rows.map((row) => buildMessage(live.withNews(row)));
      return { builds, workers: roster.count };
    },
    close: () => live.close(),
    stop: async () => {
      live.stop();
      await Promise.all([sweeper.stop(), garbage.stop()]);
    },
  };
}
