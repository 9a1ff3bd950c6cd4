// Rollouts as `millrace rollouts` shows them: a table, one in detail, and as JSON.

import type { Rollout, WaveStatus } from "../../proto/gen/millrace/v1/rollouts.ts";
import { formatBytes } from "../../runtime/program/byte-amount.ts";
import { formatDuration } from "../../runtime/recipe/duration.ts";
import { rolloutStateName } from "../remote/states.ts";
import { describeBytes, totalsOf } from "./describe.ts";
import { clip, formatAge, formatFields, formatTable, formatTime, shortId } from "./format.ts";

/** Relays cut errors to this, too. */
const ERROR_COLUMNS_MAX = 120;

/** A table of rollouts; `nowMs` is the time of day. */
export function rolloutTable(rollouts: readonly Rollout[], nowMs: number): string {
  if (rollouts.length === 0) return "no rollouts";
  const rows = rollouts.map((rollout) => {
    const { matching, active, failed } = totalsOf(rollout);
    return [
      rollout.id,
      rollout.service,
      shortId(rollout.sha),
      `${stateWords(rollout)}${rollout.reason === "" ? "" : ` (${rollout.reason})`}`,
      formatAge(rollout.createdAtMs, nowMs),
      `${active} of ${matching}`,
      String(failed),
    ];
  });
  return formatTable(["ROLLOUT", "SERVICE", "SHA", "STATE", "AGE", "ACTIVE", "FAILED"], rows);
}

/** One rollout in full: its waves, its regions, the machines that failed. */
export function rolloutDetail(rollout: Rollout, nowMs: number): string {
  const hasEnded = rollout.endedAtMs !== 0;
  const tookMs = (hasEnded ? rollout.endedAtMs : nowMs) - rollout.createdAtMs;
  const fields = formatFields([
    ["rollout", rollout.id],
    ["service", rollout.service],
    ["brings", `${rollout.sha} (release ${shortId(rollout.release)})`],
    ["after", rollout.previousSha],
    ["state", `${stateWords(rollout)}${rollout.reason === "" ? "" : ` (${rollout.reason})`}`],
    ["message", rollout.message],
    ["build", rollout.build],
    ["begun", formatTime(rollout.createdAtMs)],
    [hasEnded ? "took" : "so far", formatDuration(Math.max(0, tookMs))],
    [
      "content",
      `${formatBytes(rollout.artifactBytes)}, ${formatBytes(rollout.packedBytes)} of it new`,
    ],
    ["bytes", describeBytes(totalsOf(rollout).bytes)],
    ["left out", rollout.excludedRegions.join(", ")],
  ]);
  const failing = failingTable(rollout);
  return [fields, waveTable(rollout), regionTable(rollout), failing]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** A rollout for --json: the fields of the API, the state as a word. */
export function rolloutRecord(rollout: Rollout): Readonly<Record<string, unknown>> {
  return { ...rollout, state: rolloutStateName(rollout.state) };
}

function stateWords(rollout: Rollout): string {
  const paused = rollout.paused ? ", paused" : "";
  return `${rolloutStateName(rollout.state).replace("_", " ")}${paused}`;
}

function waveTable(rollout: Rollout): string {
  const rows = rollout.waves.map((wave, index) => [
    String(index + 1),
    waveRule(wave),
    wave.size === 0 ? "-" : String(wave.size),
    String(wave.permitted),
    String(wave.healthy),
    String(wave.failed),
    formatDuration(wave.policy?.bakeMs ?? 0),
  ]);
  return formatTable(["WAVE", "OF", "SIZE", "PERMITTED", "HEALTHY", "FAILED", "BAKE"], rows);
}

function waveRule({ policy }: WaveStatus): string {
  if (policy === undefined) return "100 %";
  const labels = Object.entries(policy.labels).map(([key, value]) => `${key}=${value}`);
  return [`${policy.percent} %`, ...policy.regions, ...labels].join(" ");
}

function regionTable(rollout: Rollout): string {
  const rows = rollout.regions.map((region) => [
    region.excluded ? `${region.region} (left out)` : region.region,
    String(region.matching),
    String(region.fetching),
    String(region.staged),
    String(region.activating),
    String(region.active),
    String(region.failed),
    String(region.reverted),
    `${formatBytes(region.replicatedBytes)} of ${formatBytes(region.neededBytes)}`,
  ]);
  const head = ["REGION", "AGENTS", "FETCHING", "STAGED", "ACTIVATING", "ACTIVE", "FAILED", "BACK"];
  return formatTable([...head, "REPLICATED"], rows);
}

function failingTable(rollout: Rollout): string {
  if (rollout.failing.length === 0) return "";
  const rows = rollout.failing.map(({ agent, region, error }) => [
    agent,
    region,
    clip(error, ERROR_COLUMNS_MAX),
  ]);
  return formatTable(["FAILING AGENT", "REGION", "ERROR"], rows);
}
