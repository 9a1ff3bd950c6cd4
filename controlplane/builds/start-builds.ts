// Puts together what every replica does for builds: table, desks and the services on top. What only the
// leader does stands in lead-builds.ts.
import { type BuildLimits, groupMsOf } from "../../core/builds/build-limits.ts";
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
import type { Past } from "../history/past.ts";
import { AttemptDesk } from "./attempt-desk.ts";
import { BuildLogs } from "./build-logs.ts";
import { buildMessage } from "./build-message.ts";
import { measureBuilds } from "./build-metrics.ts";
import { buildService } from "./build-service.ts";
import { BuildTable } from "./build-table.ts";
import { GroupedChanges } from "./grouped-changes.ts";
import { LeaseDesk } from "./lease-desk.ts";
import { LiveBuilds } from "./live-builds.ts";
import { releaseService } from "./release-service.ts";
import type { ShipChain } from "./ship-chain.ts";
import { WorkerRoster } from "./worker-roster.ts";
import { workerService } from "./worker-service.ts";

/** Progress is written at most so often: 100 workers are 20 writes a second. */
const WRITE_MS = 5_000;
/** Written heartbeats within the silence that loses a lease, for a leader that is another replica. */
const WRITES_IN_SILENCE = 3;
/** Live builds shown at a glance. */
const GLANCE_MAX = 20;

export interface BuildsOptions {
  readonly store: Store;
  readonly origin: BlobStore;
  /** Builds that were archived. */
  readonly past: Past;
  readonly ship: ShipChain;
  readonly limits: BuildLimits;
  /** What is left of a build's overall limit, where this replica leads; undefined: not known here. */
  readonly overallLeftMs: (build: string) => number | undefined;
  /** How often workers are told to heartbeat, milliseconds. */
  readonly heartbeatMs: number;
  readonly log: Log;
}

/** The builds of one replica. */
export interface Builds {
  readonly table: BuildTable;
  readonly live: LiveBuilds;
  readonly services: GrpcServerOptions["services"];
  /** Live builds, newest first, and the number of workers: what people see at a glance. */
  overview(): Promise<{ readonly builds: Build[]; readonly workers: number }>;
  /** Workers that this replica has heard of lately. */
  workers(): number;
  /** Sends waiting workers and watchers away; call it before the server closes. */
  close(): void;
  /** Ends what follows the store; call it after the server has closed. */
  stop(): void;
}

/** Starts to serve the builds that the store holds. */
export async function startBuilds(options: BuildsOptions): Promise<Builds> {
  const { store, origin, past, ship, limits, overallLeftMs, log, heartbeatMs } = options;
  const table = new BuildTable(store);
  const live = new LiveBuilds(log);
  const logs = new BuildLogs(origin);
  const writeMs = Math.min(WRITE_MS, limits.detectMs / WRITES_IN_SILENCE);
  const leases = new LeaseDesk({ table, live, limits, overallLeftMs });
  const grouped = new GroupedChanges({ store, table, groupMs: groupMsOf(limits) });
  const attempts = new AttemptDesk({ table, grouped, live, logs, writeMs });
  const complete = { store, table, live, logs, origin, ship, log };
  const roster = new WorkerRoster();
  measureBuilds(live, roster);
  await live.start(store, table);
  const workers = { store, table, live, leases, attempts, roster, complete, heartbeatMs, log };
  return {
    table,
    live,
    services: [
      {
        definition: BuildServiceService,
        implementation: buildService({ store, table, past, live, logs, ship, log }),
      },
      { definition: ReleaseServiceService, implementation: releaseService(store, log) },
      { definition: WorkerServiceService, implementation: workerService(workers) },
    ],
    overview: async () => {
      const page = await table.page({ service: "", states: ["queued", "leased"] }, "", GLANCE_MAX);
      const builds = page.rows.map((row) => buildMessage(live.withNews(row)));
      return { builds, workers: roster.count };
    },
    workers: () => roster.count,
    close: () => live.close(),
    stop: () => live.stop(),
  };
}
