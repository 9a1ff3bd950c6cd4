// Everything at a glance, as `millrace status` prints it, and as JSON.
import type { GetStatusResponse } from "../../proto/gen/millrace/v1/fleet.ts";
import type { RegionProgress, Rollout } from "../../proto/gen/millrace/v1/rollouts.ts";
import { formatBytes } from "../../runtime/program/byte-amount.ts";
import { formatBar } from "./bar.ts";
import { buildRecord } from "./build-view.ts";
import {
  describeBuild,
  describeBytes,
  describeCounts,
  describeStand,
  totalsOf,
} from "./describe.ts";
import { formatTable, shortId } from "./format.ts";
import { rolloutRecord, rolloutTable } from "./rollout-view.ts";

const BAR_CELLS = 24;

/** The page; `nowMs` is the time of day. */
export function statusPage(status: GetStatusResponse, address: string, nowMs: number): string {
  const workers = status.workers === 1 ? "1 worker" : `${status.workers} workers`;
  const head = `millrace ${status.version} at ${address}, epoch ${status.epoch}, ${workers}`;
  const builds = status.builds.map((build) => `  ${describeBuild(build)}`);
  return [
    head,
    regionsTable(status),
    ["builds that run", ...(builds.length === 0 ? ["  none"] : builds)].join("\n"),
    ["open rollouts", ...openRollouts(status.rollouts)].join("\n"),
    ["last rollouts", indent(rolloutTable(status.recent, nowMs))].join("\n"),
  ].join("\n\n");
}

/** The same for --json: the fields of the API, states as words. */
export function statusRecord(status: GetStatusResponse): Readonly<Record<string, unknown>> {
  return {
    ...status,
    builds: status.builds.map(buildRecord),
    rollouts: status.rollouts.map(rolloutRecord),
    recent: status.recent.map(rolloutRecord),
  };
}

function regionsTable(status: GetStatusResponse): string {
  if (status.regions.length === 0) return "no regions: no relay has connected yet";
  const rows = status.regions.map((region) => {
    const online = region.relays.filter((relay) => relay.online).length;
    return [
      region.name,
      `${online} of ${region.relays.length}`,
      String(region.agents),
      String(region.packs),
      formatBytes(region.bytes),
    ];
  });
  return formatTable(["REGION", "RELAYS ONLINE", "AGENTS", "PACKS", "BYTES"], rows);
}

function openRollouts(rollouts: readonly Rollout[]): string[] {
  if (rollouts.length === 0) return ["  none"];
  return rollouts.flatMap((rollout) => {
    const width = Math.max(0, ...rollout.regions.map(({ region }) => region.length));
    return [
      `  ${rollout.id} ${rollout.service} ${shortId(rollout.sha)}: ${describeStand(rollout)}`,
      ...rollout.regions.map((region) => `    ${regionBar(region, width)}`),
      `    ${describeBytes(totalsOf(rollout).bytes)}`,
    ];
  });
}

function regionBar(region: RegionProgress, width: number): string {
  const bar = formatBar(region.active, region.matching, BAR_CELLS);
  return `${region.region.padEnd(width)} ${bar} ${describeCounts(region)}`;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}
