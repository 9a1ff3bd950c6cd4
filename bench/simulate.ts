// What `millrace simulate release` comes to and costs at 1,000, 10,000 and 100,000 agents in the same ten regions,
// and how time and memory grow over agents x pieces (1: as fast). A run of ten agents, whose cost is that of a
// start, is taken off first. The same of the level of pieces (`node simulator/main.ts --release`) for the sizes
// that it is quick at. `--agents 1000,10000,100000`, `--only flow,pieces`.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { packageRoot } from "../runtime/package-root.ts";
import { printFigures } from "./lab/figures.ts";
import { growthOf } from "./lab/growth.ts";

const COMMAND = fileURLToPath(new URL("cli/millrace.js", packageRoot()));
const SIMULATOR = fileURLToPath(new URL("simulator/main.ts", packageRoot()));
/** One a region. */
const START_AGENTS = 10;
/** Sizes of the swarms of pieces, and their pieces: 1.3 million that change hands in the second. */
const PIECES_AGENTS = [1_000, 10_000];
const PIECES = 128;
/** Of `simulate`: the objective was met, or missed. */
const ENDS = [0, 4];

/** What a run says of itself; rates and times in the units of their names. */
interface Run {
  readonly agents: number;
  readonly pieces: number;
  readonly wall_s: number;
  readonly peak_rss_mb: number;
}

/** The figures of `simulate --json` that the largest run is told by. */
interface FlowRun extends Run {
  readonly verdict: "met" | "missed";
  readonly distribution_over_bound: number;
  readonly last_active_s: number;
  readonly p50_s: number;
  readonly p99_s: number;
  readonly p999_s: number;
  readonly availability: number;
  readonly trace: string;
}

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    agents: { type: "string", default: "1000,10000,100000" },
    only: { type: "string", default: "flow,pieces" },
  },
});
const figures: Record<string, number> = {};
if (values.only.includes("flow")) measureFlow(values.agents.split(",").map(Number));
if (values.only.includes("pieces")) measurePieces();
printFigures("simulate", figures);

function measureFlow(sizes: readonly number[]): void {
  const start = simulate(START_AGENTS);
  const runs = sizes.map(simulate);
  note("", start, runs);
  const largest = runs.at(-1);
  if (largest === undefined) throw new RangeError("--agents: give at least one size");
  const { verdict, last_active_s, p50_s, p99_s, p999_s, availability } = largest;
  Object.assign(figures, {
    ...{ met: verdict === "met" ? 1 : 0, agents: largest.agents, pieces: largest.pieces },
    ...{ wall_s: largest.wall_s, peak_rss_mb: largest.peak_rss_mb },
    ...{ last_active_s, p50_s, p99_s, p999_s, availability },
    distribution_over_bound: largest.distribution_over_bound,
  });
  console.error(`trace of ${largest.agents} agents: ${largest.trace}`);
}

function measurePieces(): void {
  note("pieces_", broadcast(START_AGENTS), PIECES_AGENTS.map(broadcast));
}

/**
 * Figures of runs in the order of their sizes, and the growth between the last two: of smaller ones too much is
 * compiling, and garbage that nobody has collected yet.
 */
function note(prefix: string, start: Run, runs: readonly Run[]): void {
  for (const [index, run] of runs.entries()) {
    const { agents, wall_s, peak_rss_mb } = run;
    console.error(
      `${prefix}${agents} agents: ${wall_s.toFixed(2)} s, ${peak_rss_mb.toFixed(0)} MB`,
    );
    const size = sizeOf(agents);
    figures[`${prefix}wall_s_${size}`] = wall_s;
    figures[`${prefix}peak_rss_mb_${size}`] = peak_rss_mb;
    const before = runs[index - 1];
    if (before === undefined || index + 1 < runs.length) continue;
    const growth = (cost: (of: Run) => number) =>
      growthOf(costed(before, cost), costed(run, cost), cost(start));
    figures[`${prefix}time_growth`] = growth((of) => of.wall_s);
    figures[`${prefix}memory_growth`] = growth((of) => of.peak_rss_mb);
  }
}

function costed(run: Run, cost: (of: Run) => number) {
  return { work: run.agents * run.pieces, cost: cost(run) };
}

function sizeOf(agents: number): string {
  return agents % 1_000 === 0 ? `${agents / 1_000}k` : `${agents}`;
}

function simulate(agents: number): FlowRun {
  return lastLine<FlowRun>([COMMAND, "simulate", "release", "--json", "--agents", `${agents}`]);
}

function broadcast(agents: number): Run {
  const sizes = ["--set", `agents=${agents}`, "--set", `pieces=${PIECES}`];
  const { report } = lastLine<{ readonly report: Omit<Run, "agents" | "pieces"> }>([
    SIMULATOR,
    "--release",
    ...sizes,
  ]);
  return { agents, pieces: PIECES, ...report };
}

/** Runs a program to its end; the JSON of its last line. Throws where it did not end rightly. */
function lastLine<Answer>(argv: readonly string[]): Answer {
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
  if (!ENDS.includes(status ?? -1)) throw new Error(`${argv.join(" ")} ended ${status}: ${stderr}`);
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Answer;
}
