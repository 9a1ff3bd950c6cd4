// Builds and rollouts in one line each, the same words wherever they are shown.
import type { Build } from "../../proto/gen/millrace/v1/builds.ts";
import {
  type BytesBySource,
  type RegionProgress,
  type Rollout,
  RolloutState,
} from "../../proto/gen/millrace/v1/rollouts.ts";
import { formatBytes } from "../../runtime/program/byte-amount.ts";
import { buildStateName, rolloutStateName } from "../remote/states.ts";
import { shortId } from "./format.ts";

/** Everything is to be done in this time from the request. */
export const TARGET_MS = 30 * 60_000;

/** "build b-12 of hello at 0123456789ab: leased, packing, 24 MB, 20 MB of it new". */
export function describeBuild(build: Build): string {
  const service = build.service === "" ? "" : ` of ${build.service}`;
  const sizes =
    build.outputBytes === 0
      ? ""
      : `, ${formatBytes(build.outputBytes)}, ${formatBytes(build.packedBytes)} of it new`;
  const why = build.message === "" ? "" : `: ${build.message}`;
  const state = buildStateName(build.state);
  return `build ${build.id}${service} at ${shortId(build.sha)}: ${state}${describePhase(build)}${sizes}${why}`;
}

/** ", packing" while a build runs; empty where it does not. */
export function describePhase(build: Build): string {
  const isRunning = build.phase !== "" && build.endedAtMs === 0;
  return isRunning ? `, ${PHASES[build.phase] ?? build.phase}` : "";
}

const PHASES: Readonly<Record<string, string>> = {
  fetch: "fetching the commit",
  run: "running its command",
  pack: "packing",
};

/** Counts of a rollout summed over its regions. */
export interface RolloutTotals {
  readonly matching: number;
  readonly staged: number;
  readonly active: number;
  readonly failed: number;
  readonly reverted: number;
  readonly missingBytes: number;
  readonly bytes: BytesBySource;
}

/** Sums a rollout up. */
export function totalsOf(rollout: Rollout): RolloutTotals {
  const sum = (read: (region: RegionProgress) => number): number =>
    rollout.regions.reduce((total, region) => total + read(region), 0);
  return {
    matching: sum((region) => region.matching),
    staged: sum((region) => region.staged),
    active: sum((region) => region.active),
    failed: sum((region) => region.failed),
    reverted: sum((region) => region.reverted),
    missingBytes: sum((region) => region.missingBytes),
    bytes: {
      origin: sum((region) => region.bytes?.origin ?? 0),
      relay: sum((region) => region.bytes?.relay ?? 0),
      peer: sum((region) => region.bytes?.peer ?? 0),
      local: sum((region) => region.bytes?.local ?? 0),
    },
  };
}

/** "rollout r-12 of hello at 0123456789ab: activating wave 1 of 2, 3 of 12 active". */
export function describeRollout(rollout: Rollout): string {
  const head = `rollout ${rollout.id} of ${rollout.service} at ${shortId(rollout.sha)}`;
  return `${head}: ${describeStand(rollout)}`;
}

/** "activating wave 1 of 2, 3 of 12 active". */
export function describeStand(rollout: Rollout): string {
  const { matching, active, failed, reverted } = totalsOf(rollout);
  const isInWave = IN_WAVE.has(rollout.state) && rollout.waves.length > 1;
  return [
    rolloutStateName(rollout.state).replace("_", " "),
    isInWave ? ` wave ${rollout.wave + 1} of ${rollout.waves.length}` : "",
    rollout.paused ? " (paused)" : "",
    matching === 0 ? "" : `, ${active} of ${matching} active`,
    failed === 0 ? "" : `, ${failed} failed`,
    reverted === 0 ? "" : `, ${reverted} back on the release before`,
    rollout.message === "" ? "" : `: ${rollout.message}`,
  ].join("");
}

const IN_WAVE: ReadonlySet<RolloutState> = new Set([
  RolloutState.ROLLOUT_STATE_ACTIVATING,
  RolloutState.ROLLOUT_STATE_BAKING,
]);

/** "3 of 4 active, 1 staged": a region's machines, what is zero left out. */
export function describeCounts(region: RegionProgress): string {
  const { matching, active, excluded } = region;
  const { fetching, staged, activating: switching, failed, reverted: back } = region;
  const rest = Object.entries({ fetching, staged, switching, failed, back })
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `, ${count} ${name}`);
  return `${active} of ${matching} active${rest.join("")}${excluded ? ", left out" : ""}`;
}

/** "from peers 200 MB (83 %), relays 40 MB, this machine 0 B". */
export function describeBytes(bytes: BytesBySource): string {
  const total = bytes.origin + bytes.relay + bytes.peer + bytes.local;
  const share = total === 0 ? "" : ` (${Math.round((bytes.peer / total) * 100)} %)`;
  const origin = bytes.origin === 0 ? "" : `, origin ${formatBytes(bytes.origin)}`;
  return (
    `from peers ${formatBytes(bytes.peer)}${share}, relays ${formatBytes(bytes.relay)}, ` +
    `this machine ${formatBytes(bytes.local)}${origin}`
  );
}

/**
 * Milliseconds until all bytes are there at the rate seen so far; undefined where nothing is known.
 * `elapsedMs` counts from when bytes could first move.
 */
export function remainingMs(totals: RolloutTotals, elapsedMs: number): number | undefined {
  const { origin, relay, peer, local } = totals.bytes;
  const got = origin + relay + peer + local;
  if (totals.missingBytes === 0 || got === 0 || elapsedMs <= 0) return undefined;
  return (totals.missingBytes / got) * elapsedMs;
}
