// What a waiting command shows on a terminal: the build in a row, the rollout in a row, a bar a region,
// bytes by source, and the time left against the 30 minutes that everything has.
import type { Build } from "../../proto/gen/millrace/v1/builds.ts";
import type { RegionProgress, Rollout } from "../../proto/gen/millrace/v1/rollouts.ts";
import { formatDuration } from "../../runtime/recipe/duration.ts";
import { formatBar } from "./bar.ts";
import {
  describeBuild,
  describeBytes,
  describeCounts,
  describeRollout,
  describeStand,
  remainingMs,
  TARGET_MS,
  totalsOf,
} from "./describe.ts";
import { clip } from "./format.ts";

const BAR_CELLS = 24;

/** What is known so far. */
export interface ProgressFacts {
  readonly build: Build | undefined;
  readonly rollout: Rollout | undefined;
}

/** The rows, none wider than `columns`; `nowMs` is the time of day. */
export function progressRows(facts: ProgressFacts, nowMs: number, columns: number): string[] {
  const { build, rollout } = facts;
  const rows = build === undefined ? [] : [describeBuild(build)];
  if (rollout !== undefined) {
    const width = Math.max(0, ...rollout.regions.map(({ region }) => region.length));
    // The build's row names service and commit already.
    const isNamed = build !== undefined;
    rows.push(
      isNamed ? `rollout ${rollout.id}: ${describeStand(rollout)}` : describeRollout(rollout),
    );
    rows.push(...rollout.regions.map((region) => regionRow(region, width)));
    rows.push(`  ${describeBytes(totalsOf(rollout).bytes)}`);
    rows.push(`  ${clock(rollout, build?.createdAtMs ?? rollout.createdAtMs, nowMs)}`);
  }
  return rows.map((row) => clip(row, columns));
}

/** How far a region is, 0 to 1: half of it is having the bytes, half is running them. */
export function regionShare(region: RegionProgress): number {
  const { matching, staged, activating, active, missingBytes, bytes } = region;
  if (matching === 0) return 0;
  const got = bytes === undefined ? 0 : bytes.origin + bytes.relay + bytes.peer + bytes.local;
  const hasAll = staged + activating + active >= matching;
  const fetched = hasAll ? 1 : got / Math.max(1, got + missingBytes);
  return fetched / 2 + active / matching / 2;
}

function regionRow(region: RegionProgress, width: number): string {
  const share = regionShare(region);
  const percent = `${Math.floor(share * 100)} %`.padStart(5);
  const bar = formatBar(share, 1, BAR_CELLS);
  return `  ${region.region.padEnd(width)} ${bar} ${percent}  ${describeCounts(region)}`;
}

function clock(rollout: Rollout, startedAtMs: number, nowMs: number): string {
  const endMs = rollout.endedAtMs === 0 ? nowMs : rollout.endedAtMs;
  const leftMs = remainingMs(totalsOf(rollout), endMs - rollout.createdAtMs);
  const eta = leftMs === undefined ? "" : `, all bytes there in ${formatDuration(leftMs)}`;
  const tookMs = Math.max(0, endMs - startedAtMs);
  return `${formatDuration(tookMs)} of ${formatDuration(TARGET_MS)}${eta}`;
}
