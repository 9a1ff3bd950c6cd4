// A build row as the API shows it, and the API's words for states and wishes as the queue's.
import {
  type BuildRow,
  type BuildState as CoreState,
  NO_PROGRESS,
  packOf,
  type ShipWish,
} from "../../core/builds/build-row.ts";
import { type Build, BuildState, type ShipRequest } from "../../proto/gen/millrace/v1/builds.ts";

const STATE_MESSAGES: Readonly<Record<CoreState, BuildState>> = {
  queued: BuildState.BUILD_STATE_QUEUED,
  leased: BuildState.BUILD_STATE_LEASED,
  succeeded: BuildState.BUILD_STATE_SUCCEEDED,
  failed: BuildState.BUILD_STATE_FAILED,
  cancelled: BuildState.BUILD_STATE_CANCELLED,
  timed_out: BuildState.BUILD_STATE_TIMED_OUT,
};

/** The state a message names; undefined: none of ours. */
export function stateOf(message: BuildState): CoreState | undefined {
  const found = Object.entries(STATE_MESSAGES).find(([, value]) => value === message);
  return found?.[0] as CoreState | undefined;
}

/** A build as the API shows it. */
export function buildMessage(row: BuildRow): Build {
  const progress = row.state === "queued" ? NO_PROGRESS : row.progress;
  return {
    id: row.id,
    service: row.service,
    repository: row.repository,
    sha: row.sha,
    state: STATE_MESSAGES[row.state],
    reason: "reason" in row ? row.reason : "",
    message: "message" in row ? row.message : "",
    attempt: row.attempt,
    worker: row.state === "queued" ? "" : row.worker,
    createdAtMs: row.createdAtMs,
    startedAtMs: row.state === "queued" ? 0 : row.startedAtMs,
    endedAtMs: "endedAtMs" in row ? row.endedAtMs : 0,
    phase: row.state === "leased" ? progress.phase : "",
    logBytes: progress.logBytes,
    release: row.state === "succeeded" ? row.release : "",
    rollout: row.state === "succeeded" ? row.rollout : "",
    ship: row.ship !== undefined,
    outputBytes: progress.outputBytes,
    packedBytes: progress.packedBytes,
    requesters: row.requesters.length,
    order:
      row.state === "leased" && row.ship !== undefined && !row.cancelling
        ? packOf(row.id, row.attempt)
        : "",
  };
}

/** What to roll out, as the queue keeps it. */
export function wishOf(ship: ShipRequest): ShipWish {
  const { targets, overrideTargets, excludedRegions, supersede, urgent } = ship;
  return { targets, overrideTargets, excludedRegions, supersede, urgent };
}

/** What to roll out, as the API has it. */
export function shipOf(wish: ShipWish): ShipRequest {
  return {
    targets: { ...wish.targets },
    overrideTargets: wish.overrideTargets,
    excludedRegions: [...wish.excludedRegions],
    supersede: wish.supersede,
    urgent: wish.urgent,
  };
}
