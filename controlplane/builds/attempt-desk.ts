// What a worker says while it has a build: that it lives, how far it is, and its log. Progress is kept in
// memory and written to the row now and then; whatever others must know at once is written at once.
import type { BuildProgress, BuildRow, LeasedBuild } from "../../core/builds/build-row.ts";
import { heartbeat, isCurrent } from "../../core/builds/build-transitions.ts";
import type {
  AppendLogRequest,
  HeartbeatRequest,
  HeartbeatResponse,
} from "../../proto/gen/millrace/v1/workers.ts";
import { aborted, invalid, notFound } from "../../runtime/grpc/rpc-error.ts";
import { SERVICE_NAME } from "../../runtime/recipe/recipe-schema.ts";
import type { BuildLogs } from "./build-logs.ts";
import type { BuildTable } from "./build-table.ts";
import type { GroupedChanges } from "./grouped-changes.ts";
import { checkLabels } from "./label-limits.ts";
import type { LiveBuilds } from "./live-builds.ts";

const PHASE_BYTES_MAX = 40;

export interface AttemptDeskOptions {
  readonly table: BuildTable;
  /** Takes what is written of heartbeats. */
  readonly grouped: GroupedChanges;
  readonly live: LiveBuilds;
  readonly logs: BuildLogs;
  /** Progress is written at most so often, unless it is news to others; milliseconds. */
  readonly writeMs: number;
}

/** Takes what workers say of their attempts. */
export class AttemptDesk {
  readonly #options: AttemptDeskOptions;
  readonly #writtenAt = new Map<string, number>();

  constructor(options: AttemptDeskOptions) {
    this.#options = options;
    options.live.onRow((row) => {
      if (row.state !== "leased") this.#writtenAt.delete(row.id);
    });
  }

  /** A heartbeat; ABORTED where the attempt is not current any more. */
  async heartbeat(request: HeartbeatRequest): Promise<HeartbeatResponse> {
    checkHeartbeat(request);
    const { live } = this.#options;
    const { build, attempt } = request;
    const before = await this.#require(build);
    if (!isCurrent(before, attempt)) {
      const isTold = before.state === "cancelled" && before.attempt === attempt;
      if (isTold) return { cancelled: true };
      throw notCurrent(build, attempt);
    }
    const { phase, outputBytes, packedBytes, segments, targets } = request;
    live.note(build, attempt, { phase, outputBytes, packedBytes, segments, targets });
    const row = await this.#write(before, request);
    return { cancelled: row.cancelling };
  }

  /** Appends to the log of a current attempt; returns its length. */
  async appendLog(request: AppendLogRequest): Promise<number> {
    const { live, logs } = this.#options;
    const { build, attempt, offset, data } = request;
    const row = await this.#require(build);
    if (!isCurrent(row, attempt)) throw notCurrent(build, attempt);
    const length = await logs.append(build, attempt, offset, data);
    live.note(build, attempt, { logBytes: length });
    return length;
  }

  /** Writes the row when something that others act on has changed, or when it is time. */
  async #write(before: LeasedBuild, request: HeartbeatRequest): Promise<LeasedBuild> {
    const { grouped, live, writeMs } = this.#options;
    const { id, attempt, progress } = before;
    const now = performance.now();
    const isNews =
      before.service !== (request.service || before.service) ||
      progress.phase !== request.phase ||
      !hasSameLabels(progress, request);
    const isDue = now - (this.#writtenAt.get(id) ?? Number.NEGATIVE_INFINITY) >= writeMs;
    if (!isNews && !isDue) return before;
    this.#writtenAt.set(id, now);
    const result = await grouped.change(id, (row) => {
      const { progress: newest } = row.state === "leased" ? live.withNews(row) : before;
      return heartbeat(row, attempt, { service: request.service, progress: newest });
    });
    if (!result.ok || result.row.state !== "leased") throw notCurrent(id, attempt);
    return result.row;
  }

  async #require(build: string): Promise<BuildRow> {
    const row = await this.#options.table.get(build);
    if (row === undefined) throw notFound(`no build ${build}`);
    return row;
  }
}

function hasSameLabels(progress: BuildProgress, { targets }: HeartbeatRequest): boolean {
  const names = Object.keys(targets);
  return (
    names.length === Object.keys(progress.targets).length &&
    names.every((name) => progress.targets[name] === targets[name])
  );
}

function checkHeartbeat({ phase, service, targets }: HeartbeatRequest): void {
  if (Buffer.byteLength(phase) > PHASE_BYTES_MAX) {
    throw invalid(`phase: longer than ${PHASE_BYTES_MAX} bytes`);
  }
  if (service !== "" && !SERVICE_NAME.test(service)) {
    throw invalid(`service "${service}": expected 1-63 lower-case letters, digits and dashes`);
  }
  checkLabels("targets", targets);
}

function notCurrent(build: string, attempt: number): Error {
  return aborted(`build ${build}: attempt ${attempt} is not current any more; stop it`);
}
