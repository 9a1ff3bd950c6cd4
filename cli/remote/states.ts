// States of builds and rollouts in words, and which of them are ends.
import { type Build, BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { ServicePhase } from "../../proto/gen/millrace/v1/fleet.ts";
import { type Rollout, RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";

/** States of builds that have not ended. */
export const BUILDS_OPEN: readonly BuildState[] = [
  BuildState.BUILD_STATE_QUEUED,
  BuildState.BUILD_STATE_LEASED,
];

/** States of builds that ended without a release. */
export const BUILDS_FAILED: readonly BuildState[] = [
  BuildState.BUILD_STATE_FAILED,
  BuildState.BUILD_STATE_CANCELLED,
  BuildState.BUILD_STATE_TIMED_OUT,
];

const BUILD_ENDS: ReadonlySet<number> = new Set([
  BuildState.BUILD_STATE_SUCCEEDED,
  ...BUILDS_FAILED,
]);

const ROLLOUT_ENDS: ReadonlySet<number> = new Set([
  RolloutState.ROLLOUT_STATE_SUCCEEDED,
  RolloutState.ROLLOUT_STATE_ROLLED_BACK,
  RolloutState.ROLLOUT_STATE_ABORTED,
  RolloutState.ROLLOUT_STATE_FAILED,
]);

/** Whether a build has ended. */
export const buildHasEnded = (build: Build): boolean => BUILD_ENDS.has(build.state);

/** Whether a rollout has ended. */
export const rolloutHasEnded = (rollout: Rollout): boolean => ROLLOUT_ENDS.has(rollout.state);

/** "succeeded", "timed_out". */
export const buildStateName = (state: BuildState): string =>
  nameOf(BuildState, state, "BUILD_STATE_");

/** "succeeded", "rolled_back". */
export const rolloutStateName = (state: RolloutState): string =>
  nameOf(RolloutState, state, "ROLLOUT_STATE_");

/** "active", "fetching". */
export const phaseName = (phase: ServicePhase): string =>
  nameOf(ServicePhase, phase, "SERVICE_PHASE_");

function nameOf(names: Readonly<Record<string, number>>, value: number, prefix: string): string {
  const name = Object.keys(names).find((key) => names[key] === value) ?? "unknown";
  return name.replace(prefix, "").toLowerCase();
}

/** Seconds between two times of day in milliseconds; until now where it has not ended. */
export function secondsBetween(startMs: number, endMs: number): number {
  const end = endMs === 0 ? Date.now() : endMs;
  return startMs === 0 ? 0 : Number(((end - startMs) / 1_000).toFixed(2));
}
