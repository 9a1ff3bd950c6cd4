// Builds as `millrace builds` shows them: a table, one in detail, and as JSON.

import type { Build } from "../../proto/gen/millrace/v1/builds.ts";
import { formatBytes } from "../../runtime/program/byte-amount.ts";
import { formatDuration } from "../../runtime/recipe/duration.ts";
import { buildStateName } from "../remote/states.ts";
import { describePhase } from "./describe.ts";
import { formatAge, formatFields, formatTable, formatTime, shortId } from "./format.ts";

/** A table of builds; `nowMs` is the time of day. */
export function buildTable(builds: readonly Build[], nowMs: number): string {
  if (builds.length === 0) return "no builds";
  const rows = builds.map((build) => [
    build.id,
    build.service === "" ? "-" : build.service,
    shortId(build.sha),
    buildStateName(build.state),
    formatAge(build.createdAtMs, nowMs),
    formatBytes(build.outputBytes),
    formatBytes(build.packedBytes),
    build.rollout === "" ? "-" : build.rollout,
  ]);
  const head = ["BUILD", "SERVICE", "SHA", "STATE", "AGE", "OUTPUT", "NEW", "ROLLOUT"];
  return formatTable(head, rows);
}

/** One build in full. */
export function buildDetail(build: Build, nowMs: number): string {
  const hasEnded = build.endedAtMs !== 0;
  const tookMs = (hasEnded ? build.endedAtMs : nowMs) - build.createdAtMs;
  const reason = build.reason === "" ? "" : ` (${build.reason})`;
  return formatFields([
    ["build", build.id],
    ["service", build.service],
    ["repository", build.repository],
    ["sha", build.sha],
    ["state", `${buildStateName(build.state)}${reason}${describePhase(build)}`],
    ["message", build.message],
    ["attempt", build.attempt === 0 ? "" : `${build.attempt}, by ${build.worker}`],
    ["asked for", `${formatTime(build.createdAtMs)}, by ${build.requesters}`],
    [hasEnded ? "took" : "so far", formatDuration(Math.max(0, tookMs))],
    ["output", `${formatBytes(build.outputBytes)}, ${formatBytes(build.packedBytes)} of it new`],
    ["release", build.release],
    ["rollout", build.rollout === "" && build.ship ? "follows" : build.rollout],
    ["log", `${formatBytes(build.logBytes)}: millrace logs ${build.id}`],
  ]);
}

/** A build for --json: the fields of the API, the state as a word. */
export function buildRecord(build: Build): Readonly<Record<string, unknown>> {
  return { ...build, state: buildStateName(build.state) };
}
