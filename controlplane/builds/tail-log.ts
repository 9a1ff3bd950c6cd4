// Reads the log of a build, and follows it over all attempts until the build has ended.
import { type BuildRow, isLive } from "../../core/builds/build-row.ts";
import type { TailLogRequest, TailLogResponse } from "../../proto/gen/millrace/v1/builds.ts";
import { ending, notFound } from "../../runtime/grpc/rpc-error.ts";
import type { BuildLogs } from "./build-logs.ts";
import type { LiveBuilds } from "./live-builds.ts";
import { type SeenBuildOptions, seenBuild } from "./seen-build.ts";

export interface TailLogOptions extends SeenBuildOptions {
  readonly live: LiveBuilds;
  readonly logs: BuildLogs;
}

/** The log from the offset on; with `follow` until the build, or the attempt asked for, has ended. */
export async function* tailLog(
  { table, past, live, logs }: TailLogOptions,
  build: string,
  request: TailLogRequest,
  gone: AbortSignal,
): AsyncGenerator<TailLogResponse, void, void> {
  const signal = AbortSignal.any([gone, live.closing]);
  const { follower, end } = live.follow(build);
  let { attempt, offset } = request;
  try {
    while (!signal.aborted) {
      await follower.next(signal);
      const row = await seenBuild({ table, past }, build);
      if (row === undefined) throw notFound(`no build ${build}`);
      if (attempt === 0) attempt = row.attempt;
      while (request.attempt === 0 && attempt < row.attempt) {
        // What is left of the attempt before comes first: its worker was fenced, so it is whole.
        yield* runs(logs, build, attempt, offset, Number.POSITIVE_INFINITY);
        attempt += 1;
        offset = 0;
      }
      // Other replicas may have taken more than this one, by the row, or by its end.
      const isOver = !isLive(row) || attempt < row.attempt;
      const lengthMin = isOver ? Number.POSITIVE_INFINITY : loggedBytes(row);
      for await (const run of runs(logs, build, attempt, offset, lengthMin)) {
        yield run;
        offset = run.offset + run.data.length;
      }
      if (!request.follow || hasEnded(row, request.attempt)) return;
    }
    if (live.closing.aborted) throw ending("the control plane is ending; follow it again");
  } finally {
    end();
  }
}

function loggedBytes(row: BuildRow): number {
  return "progress" in row ? row.progress.logBytes : 0;
}

/** Whether nothing more comes; the row was read before the log was. */
function hasEnded(row: BuildRow, attempt: number): boolean {
  if (!isLive(row)) return true;
  if (attempt === 0 || attempt > row.attempt) return false;
  return attempt < row.attempt || row.state === "queued";
}

async function* runs(
  logs: BuildLogs,
  build: string,
  attempt: number,
  offset: number,
  lengthMin: number,
): AsyncGenerator<TailLogResponse, void, void> {
  if (attempt === 0) return;
  for await (const run of logs.read(build, attempt, offset, lengthMin)) yield { ...run, attempt };
}
