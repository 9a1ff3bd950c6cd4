// What an operator watches of the queue: how many builds wait, run and end how, how long they take, and
// how many workers there are. It only looks; nothing is decided by it.
import type { BuildRow, BuildState } from "../../core/builds/build-row.ts";
import { isLive } from "../../core/builds/build-row.ts";
import {
  PIPELINE_NAME,
  PIPELINE_RESULT,
  PIPELINE_RUN_STATE,
  RUN_ACTIVE,
  RUN_DURATION,
  WORKER_COUNT,
  WORKER_STATE,
} from "../../runtime/semantic-names.ts";
import { counter, gauge, histogram } from "../../runtime/telemetry.ts";
import type { LiveBuilds } from "./live-builds.ts";
import type { WorkerRoster } from "./worker-roster.ts";

/** As the conventions call what our states say. */
const RESULTS: Readonly<Partial<Record<BuildState, string>>> = {
  succeeded: "success",
  failed: "failure",
  cancelled: "cancellation",
  timed_out: "timeout",
};

/** Begins to measure; call it before the first row is told. */
export function measureBuilds(live: LiveBuilds, roster: WorkerRoster): void {
  const rows = new Map<string, BuildRow>();
  const ended = counter("millrace.builds.ended", "Builds that ended, by state", "{build}");
  const duration = histogram(RUN_DURATION, "Time of builds in the queue and at workers", "s");
  const inState = (state: BuildState): BuildRow[] =>
    [...rows.values()].filter((row) => row.state === state);
  live.onRow((row) => {
    if (isLive(row)) {
      rows.set(row.id, row);
      return;
    }
    // A row changes after its end too, when somebody is attached to the build.
    if (!rows.delete(row.id) || !("endedAtMs" in row)) return;
    ended.add(1, { state: row.state });
    const of = { [PIPELINE_NAME]: row.service };
    const startedAtMs = row.startedAtMs || row.endedAtMs;
    const pendingMs = Math.max(0, startedAtMs - row.createdAtMs);
    duration.record(pendingMs / 1_000, { ...of, [PIPELINE_RUN_STATE]: "pending" });
    if (row.startedAtMs === 0) return;
    const executing = { [PIPELINE_RUN_STATE]: "executing", [PIPELINE_RESULT]: RESULTS[row.state] };
    const executingMs = Math.max(0, row.endedAtMs - startedAtMs);
    duration.record(executingMs / 1_000, { ...of, ...executing });
  });
  const active = (): [number, Record<string, string>][] => [
    [inState("queued").length, { [PIPELINE_RUN_STATE]: "pending" }],
    [inState("leased").length, { [PIPELINE_RUN_STATE]: "executing" }],
  ];
  gauge(RUN_ACTIVE, "Builds in the queue and at workers", active, "{run}");
  const workers = (): [number, Record<string, string>][] => {
    const busy = new Set(inState("leased").map((row) => ("worker" in row ? row.worker : "")));
    return [
      [busy.size, { [WORKER_STATE]: "busy" }],
      [Math.max(0, roster.count - busy.size), { [WORKER_STATE]: "available" }],
    ];
  };
  gauge(WORKER_COUNT, "Workers heard of in the last 15 s", workers, "{worker}");
}
