// Runs a scenario for the command line: reads its file, changes what was asked, tells how far it is, and gives
// what it came to. The only place of the simulator that reads and writes files and looks at the clock.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import type { SimulationRun, Summary } from "../core/estimate/simulation-run.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { formatBytes } from "../runtime/program/byte-amount.ts";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";
import { parseYaml, RecipeError } from "../runtime/recipe/parse-yaml.ts";
import { Broadcast, REGION } from "./broadcast.ts";
import type { FleetWorld } from "./flow/fleet-world.ts";
import { latencyOf } from "./flow/request-log.ts";
import { runFleet } from "./flow/run-fleet.ts";
import { releaseBroadcast } from "./release-broadcast.ts";
import { RELEASE } from "./release-plan.ts";
import { reportPage } from "./report-page.ts";
import { type Scenario, scenarioSchema } from "./scenario.ts";
import { summaryOf } from "./summary.ts";

const FOLDER = new URL("simulator/scenarios/", packageRoot());

/** The swarms by which harm is measured, and what their peers do in turn. */
const HARMED = {
  ...{ peers: 60, pieces: 200 },
  conducts: ["corrupt", "mute", "liar", "staller", "flooder", "leech"],
} as const;

/** Of a simulation whose swarms are of pieces these take nearly all the time. */
const PIECES_SHARE = 0.9;

/** What is asked for. */
export interface RunOptions {
  /** Name of a scenario that ships, or a file. */
  readonly scenario: string;
  readonly seed: number;
  /** Machines instead of the scenario's; undefined: those. */
  readonly agents: number | undefined;
  /** `fleet.relays=4` and the like. */
  readonly changes: readonly string[];
  /** File for a page with plots; undefined: none. */
  readonly page: string | undefined;
  /** Hears which share of the work is done. */
  readonly told: (share: number) => void;
}

/** Runs a scenario; throws CommandError where there is none, or it says what it may not. */
export async function runScenario(options: RunOptions): Promise<SimulationRun> {
  const startedAt = performance.now();
  const scenario = readScenario(options);
  const harmMs = harmMsOf(scenario.fleet.hostile_share, options.seed);
  const { seed, told } = options;
  const isByPiece = scenario.swarm === "pieces";
  const begun = isByPiece ? PIECES_SHARE : 0;
  const wholeMs = isByPiece ? await pieceTimes(scenario, options) : undefined;
  const world = runFleet(scenario, { seed, harmMs, wholeMs }, (share) => {
    told(begun + (1 - begun) * share);
  });
  const summary = summaryOf(world);
  if (options.page !== undefined)
    writePage(options.page, scenario, options.scenario, world, summary);
  return {
    ...{ scenario: options.scenario, about: scenario.about, seed: options.seed },
    ...summary,
    ...costSince(startedAt),
  };
}

/** Seconds since an instant of `performance.now()`, and the most memory that the process ever took. */
export function costSince(startedAt: number): {
  readonly wall_s: number;
  readonly peak_rss_mb: number;
} {
  return {
    wall_s: (performance.now() - startedAt) / 1_000,
    // Kilobytes of 1,024.
    peak_rss_mb: (process.resourceUsage().maxRSS * 1_024) / 1e6,
  };
}

function writePage(
  path: string,
  { about }: Scenario,
  title: string,
  world: FleetWorld,
  summary: Summary,
): void {
  const { resolve } = createRequire(import.meta.url);
  const read = (name: string) => readFileSync(resolve(`uplot/dist/${name}`), "utf8");
  const sources = { script: read("uPlot.iife.min.js"), style: read("uPlot.min.css") };
  const right = [...world.requests.values()].filter(({ outcome }) => outcome === "right");
  const facts = {
    ...{ title, about, summary, points: world.gauges.points },
    regions: world.regions.map(({ name }) => name),
    latencies: right.map((request) => latencyOf(request) / 1_000),
    bytesWords: formatBytes,
  };
  writeFileSync(path, reportPage(facts, sources));
}

/** Brings the release to each region as a swarm of pieces, several regions at a time. */
async function pieceTimes(
  { fleet, load, artifact, build }: Scenario,
  { seed, told }: RunOptions,
): Promise<Float64Array[]> {
  if (load.requests !== 1 || fleet.slow_share > 0 || fleet.hostile_share > 0) {
    throw new CommandError(
      EXIT.usage,
      "swarm: pieces is for one release to machines that are alike",
    );
  }
  const plan = {
    ...RELEASE,
    ...{ agents: fleet.machines, regions: fleet.regions, relaysPerRegion: fleet.relays, seed },
    ...{ mbit: fleet.machine_mbit, relayMbit: fleet.relay_mbit, wanMbit: fleet.wan_mbit },
    pieceBytes: artifact.bytes_max / RELEASE.pieces,
    packMbit: build.pack_mb_s * 8,
  };
  const all = plan.agents * plan.pieces;
  const onProgress = ({ transfers }: { readonly transfers: number }) => {
    told((PIECES_SHARE * transfers) / all);
  };
  const result = await releaseBroadcast(plan, { workers: availableParallelism(), onProgress });
  return result.regions.map(({ wholeMs }) => wholeMs);
}

/** How much longer a swarm takes until peers that do harm are known: of two small swarms of pieces, milliseconds. */
function harmMsOf(hostile: number, seed: number): number {
  if (hostile === 0) return 0;
  const took = (share: number) =>
    new Broadcast({ ...REGION, ...HARMED, hostile: share, seed }).run().lastMs;
  return Math.max(0, took(hostile) - took(0));
}

function readScenario({ scenario: name, agents, changes }: RunOptions): Scenario {
  const { file, text } = scenarioText(name);
  try {
    const read = parseYaml(text, file, scenarioSchema, '"fleet:" and "load:"');
    const all = agents === undefined ? changes : [...changes, `fleet.machines=${agents}`];
    return all.length === 0 ? read : changed(read, all);
  } catch (error) {
    if (error instanceof RecipeError) throw new CommandError(EXIT.usage, `\n${error.message}`);
    throw error;
  }
}

function scenarioText(name: string): { readonly file: string; readonly text: string } {
  const known = readdirSync(FOLDER).filter((file) => file.endsWith(".yaml"));
  if (known.includes(`${name}.yaml`)) {
    return { file: `${name}.yaml`, text: readFileSync(new URL(`${name}.yaml`, FOLDER), "utf8") };
  }
  try {
    return { file: name, text: readFileSync(name, "utf8") };
  } catch {
    const names = known.map((file) => file.replace(".yaml", "")).join(", ");
    throw new CommandError(
      EXIT.usage,
      `no scenario "${name}", and no such file; there are ${names}`,
    );
  }
}

/** The scenario with `path=value` changes; throws CommandError where a path leads nowhere. */
function changed(scenario: Scenario, changes: readonly string[]): Scenario {
  const copy = structuredClone(scenario);
  for (const change of changes) {
    const [path = "", text = ""] = change.split("=");
    const parts = path.split(".");
    const last = parts.pop() as string;
    let node: unknown = copy;
    for (const part of parts) node = (node as Record<string, unknown> | undefined)?.[part];
    if (typeof node !== "object" || node === null || !Object.hasOwn(node, last)) {
      throw new CommandError(EXIT.usage, `--set ${change}: the scenario has no ${path}`);
    }
    const value = text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    (node as Record<string, unknown>)[last] = value;
  }
  const parsed = scenarioSchema.safeParse(copy);
  if (parsed.success) return parsed.data;
  const why = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new CommandError(EXIT.usage, `--set: ${why.join("; ")}`);
}
