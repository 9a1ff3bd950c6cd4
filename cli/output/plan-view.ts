// A plan as `millrace deploy --plan` shows it: what would change, where, and when it would have ended.
import type {
  FleetRates,
  PlanRolloutResponse,
  RolloutEstimate,
} from "../../proto/gen/millrace/v1/rollouts.ts";
import { formatBytes } from "../../runtime/program/byte-amount.ts";
import { formatDuration } from "../../runtime/recipe/duration.ts";
import { formatTable, shortId } from "./format.ts";

/** The plan for people. */
export function describePlan(plan: PlanRolloutResponse): string {
  const { release, estimate } = plan;
  if (plan.noChange) return `every machine is to run ${shortId(release?.sha ?? "")} already`;
  const waves = plan.waveSizes.map((size, index) => `${index + 1}: ${size}`).join(", ");
  const open = plan.openRollout === "" ? "" : `\nopen rollout  ${plan.openRollout}`;
  const warnings = plan.warnings.map((warning) => `\nwarning       ${warning}`).join("");
  const ends = estimate === undefined ? "" : `\n${describeEstimate(estimate)}`;
  return `service       ${release?.service}
from          ${shortId(plan.currentSha)}
to            ${shortId(release?.sha ?? "")} (release ${shortId(release?.release ?? "")})
waves         ${waves} machines, cumulative${open}${ends}${warnings}
revision      ${plan.revision}

${regionTable(plan)}

Apply it: millrace deploy ${shortId(release?.sha ?? "")} --revision ${plan.revision}`;
}

function describeEstimate(estimate: RolloutEstimate): string {
  const { endMs, latestMs, sloMs, meetsSlo, waves, rates } = estimate;
  const verdict = meetsSlo ? "within" : "NOT within";
  const rounds = waves.map(({ rounds }) => rounds).join(", ");
  const bakeMs = waves.reduce((sum, wave) => sum + wave.bakeMs, 0);
  const switchingMs = waves.reduce((sum, wave) => sum + wave.switchingMs, 0);
  const parts = [
    `replicated ${formatDuration(estimate.replicatedMs)}`,
    `on all disks ${formatDuration(estimate.stagedMs)}`,
    `then switching ${formatDuration(switchingMs)} in ${rounds} rounds`,
    `watching ${formatDuration(bakeMs)}`,
  ];
  return `ends in       about ${formatDuration(endMs)}, ${verdict} ${formatDuration(sloMs)}; ${formatDuration(latestMs)} where health takes all its time
              ${parts.join(", ")}
taken for     ${describeRates(rates)}`;
}

function describeRates(rates: FleetRates | undefined): string {
  const { machine = 0, machineUp = 0, relay = 0, wan = 0 } = rates ?? {};
  const up = machineUp > 0 && machineUp < machine ? ` (${gbit(machineUp)} up)` : "";
  return `machines ${gbit(machine)}${up}, relays ${gbit(relay)}, WAN ${gbit(wan)} a region`;
}

function gbit(bytesPerS: number): string {
  return `${Number(((bytesPerS * 8) / 1e9).toPrecision(3))} Gbit/s`;
}

function regionTable({ regions, estimate }: PlanRolloutResponse): string {
  const rows = regions.map((region) => {
    const estimated = estimate?.regions.find((one) => one.region === region.region);
    return [
      region.region,
      String(region.matching),
      `${formatBytes(region.replicatedBytes)} of ${formatBytes(region.neededBytes)}`,
      estimated === undefined ? "" : formatBytes(estimated.fetchBytes),
      estimated === undefined ? "" : formatDuration(estimated.fetchedMs),
      region.excluded ? "left out" : "",
    ];
  });
  return formatTable(["REGION", "MACHINES", "BYTES THERE", "TO EACH", "FETCHED IN", ""], rows);
}
