// The API that workers call: messages in, desks asked, messages out.
import type { LeasedBuild } from "../../core/builds/build-row.ts";
import { isCurrent } from "../../core/builds/build-transitions.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { BuildLease, WorkerServiceServer } from "../../proto/gen/millrace/v1/workers.ts";
import { unary } from "../../runtime/grpc/handlers.ts";
import { aborted, comeBackMs, invalid, notFound } from "../../runtime/grpc/rpc-error.ts";
import type { Log } from "../../runtime/log.ts";
import { PIPELINE_RUN_ID } from "../../runtime/semantic-names.ts";
import type { Store } from "../../runtime/store/store.ts";
import { inSpan } from "../../runtime/telemetry.ts";
import { footing, packNames } from "../garbage/pack-mark-row.ts";
import type { AttemptDesk } from "./attempt-desk.ts";
import type { BuildTable } from "./build-table.ts";
import { type CompleteOptions, completeBuild } from "./complete-build.ts";
import type { LeaseDesk } from "./lease-desk.ts";
import type { LiveBuilds } from "./live-builds.ts";
import { newestReleases } from "./release-index.ts";
import type { WorkerRoster } from "./worker-roster.ts";

/** Releases that a pack may stand on: the last few are what the fleet has. */
const BASES_MAX = 3;
const WORKER_BYTES_MAX = 100;

export interface WorkerServiceOptions {
  readonly store: Store;
  readonly table: BuildTable;
  readonly live: LiveBuilds;
  readonly leases: LeaseDesk;
  readonly attempts: AttemptDesk;
  readonly roster: WorkerRoster;
  readonly complete: CompleteOptions;
  /** How often workers are told to heartbeat, milliseconds. */
  readonly heartbeatMs: number;
  readonly log: Log;
}

/** The handlers of WorkerService. */
export function workerService(options: WorkerServiceOptions): WorkerServiceServer {
  const { store, table, live, leases, attempts, roster, log } = options;
  return {
    lease: unary(log, async ({ worker, waitMs }, { signal }) => {
      if (worker === "" || Buffer.byteLength(worker) > WORKER_BYTES_MAX) {
        throw invalid(`worker "${worker.slice(0, 40)}": expected 1 to ${WORKER_BYTES_MAX} bytes`);
      }
      const row = await roster.whileWaiting(worker, () => leases.lease(worker, waitMs, signal));
      if (row === undefined)
        return { lease: undefined, retryAfterMs: live.closing.aborted ? comeBackMs() : 0 };
      return { lease: await leaseMessage(options, row), retryAfterMs: 0 };
    }),
    getBase: unary(log, async ({ build, attempt, service }) => {
      const row = await table.get(build);
      if (row === undefined) throw notFound(`no build ${build}`);
      if (!isCurrent(row, attempt)) throw aborted(`build ${build}: attempt ${attempt} is over`);
      return { base: await basesOf(store, service) };
    }),
    heartbeat: unary(log, (request) => {
      roster.seen(request.worker);
      return attempts.heartbeat(request);
    }),
    appendLog: unary(log, async (request) => ({ length: await attempts.appendLog(request) })),
    complete: unary(log, async (request) => {
      const parent = (await table.get(request.build))?.traceparent;
      const attributes = { [PIPELINE_RUN_ID]: request.build, "millrace.attempt": request.attempt };
      await inSpan("build.complete", { parent, attributes }, () =>
        completeBuild(options.complete, request),
      );
      return {};
    }),
  };
}

/** The newest releases, but none that may be collected before the build ends. */
async function basesOf(store: Store, service: string): Promise<Release[]> {
  const newest = await newestReleases(store, service, BASES_MAX);
  const isMarked = await Promise.all(
    newest.map(async (release) => {
      const found = await footing(store, packNames(release));
      return !found.ok || found.operations.length > 0;
    }),
  );
  return newest.filter((_, index) => !isMarked[index]);
}

async function leaseMessage(
  { store, heartbeatMs }: WorkerServiceOptions,
  row: LeasedBuild,
): Promise<BuildLease> {
  const { expectedService } = row;
  return {
    build: row.id,
    attempt: row.attempt,
    repository: row.repository,
    sha: row.sha,
    recipe: row.recipe,
    service: expectedService,
    heartbeatMs,
    attemptTimeoutMs: row.attemptMs,
    base: expectedService === "" ? [] : await basesOf(store, expectedService),
    traceparent: row.traceparent,
    ship: row.ship !== undefined,
  };
}
