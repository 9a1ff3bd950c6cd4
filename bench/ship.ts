// How long a ship takes, and how much memory each program needs for it, on one machine with real
// processes: 1 GiB of incompressible data to 10 agents in 2 regions beside ten sequential `cp`s of the
// same file; then 4 GiB to 4 agents and a tree of a million small files to 2, for the memory alone.
//
// So that both the ship and the copies begin alike, and with memory as far as it can be had (lab/warm-memory.ts), right
// before each all dirty pages are written and as much memory is touched and freed as a ship writes. The
// ship writes more and takes longer, so more of that is gone again under it than under the copies.
import { execFileSync } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Repository, recipe } from "../test/lab/repository.ts";
import { startSystem } from "../test/lab/system.ts";
import { median, printFigures } from "./lab/figures.ts";
import { warmMemory } from "./lab/warm-memory.ts";

const GIB = 1024 ** 3;
const RUNS = 3;
/** Memory touched before a timed part: ten releases, the build's output, the origin, and some for the programs. */
const TOUCHED_BYTES = 14 * GIB;

/** The bytes are timed, not caution: without a bound on failures one machine is out at a time. */
const ALL_AT_ONCE = { waves: [{ percent: 100 }], maxUnavailable: 100, failures: 100 };

/** What a case ships, and to how many. */
interface Case {
  readonly suffix: string;
  readonly regions: number;
  readonly agents: number;
  readonly prepare: (path: string) => void;
  readonly output: string;
}

const CASES = {
  "1g": { suffix: "", regions: 2, agents: 5, prepare: (path) => noise(path, GIB), output: "blob" },
  "4g": {
    suffix: "_4g",
    regions: 2,
    agents: 2,
    prepare: (path) => noise(path, 4 * GIB),
    output: "blob",
  },
  "1m": { suffix: "_1m", regions: 1, agents: 2, prepare: smallFiles, output: "tree" },
} as const satisfies Record<string, Case>;

const { values } = parseArgs({
  options: { json: { type: "boolean" }, only: { type: "string" }, runs: { type: "string" } },
});
const runs = Number(values.runs ?? RUNS);
const figures: Record<string, number> = {};
const only = values.only?.split(",");
const work = mkdtempSync(join(tmpdir(), "millrace-bench-"));
try {
  if (only?.includes("1g") ?? true) await timeBesideCopies(CASES["1g"]);
  if (only?.includes("4g") ?? true) await memoryOnly(CASES["4g"]);
  if (only?.includes("1m") ?? true) await memoryOnly(CASES["1m"]);
} finally {
  rmSync(work, { recursive: true, force: true });
}
printFigures("ship", figures);

/** One warm-up, then ship and copies in turn; the figure is the ratio of the medians. */
async function timeBesideCopies(shipped: Case): Promise<void> {
  const ships: number[] = [];
  const copies: number[] = [];
  const peaks: Peaks[] = [];
  for (let run = 0; run <= runs; run++) {
    const { seconds, peak } = await shipOnce(shipped);
    warmMemory(TOUCHED_BYTES);
    const copied = copyTimes(shipped.regions * shipped.agents);
    report(`run ${run}${run === 0 ? " (warm-up)" : ""}`, seconds, copied, peak);
    if (run === 0) continue;
    ships.push(seconds);
    copies.push(copied);
    peaks.push(peak);
  }
  figures["ship_s"] = median(ships);
  figures["cp_s"] = median(copies);
  figures["ratio_to_cp"] = figures["ship_s"] / figures["cp_s"];
  notePeaks(shipped, peaks);
}

async function memoryOnly(shipped: Case): Promise<void> {
  const { seconds, peak } = await shipOnce(shipped);
  report(shipped.suffix, seconds, undefined, peak);
  figures[`ship_s${shipped.suffix}`] = seconds;
  notePeaks(shipped, [peak]);
}

interface Peaks {
  readonly agent: number;
  readonly relay: number;
  readonly worker: number;
}

function notePeaks(shipped: Case, peaks: readonly Peaks[]): void {
  for (const program of ["agent", "relay", "worker"] as const) {
    const largest = Math.max(...peaks.map((peak) => peak[program]));
    figures[`${program}_rss_mb${shipped.suffix}`] = largest;
  }
}

/** Ships a fresh output through a fresh system; seconds from submit to the last machine active. */
async function shipOnce(shipped: Case): Promise<{ seconds: number; peak: Peaks }> {
  const prepared = join(work, "prepared");
  rmSync(prepared, { recursive: true, force: true });
  shipped.prepare(prepared);
  const repository = makeRepository(prepared, shipped.output);
  const root = join(work, "up");
  const { regions, agents } = shipped;
  const system = await startSystem({ root, regions, agents });
  try {
    warmMemory(TOUCHED_BYTES);
    const startedAt = performance.now();
    const result = await system.ship(repository);
    const seconds = (performance.now() - startedAt) / 1_000;
    if (!result.ok || result.agents?.active !== regions * agents) {
      throw new Error(`the ship failed: ${JSON.stringify(result)}`);
    }
    const peak = {
      agent: system.peakRssMb("agent"),
      relay: system.peakRssMb("relay"),
      worker: system.peakRssMb("worker"),
    };
    return { seconds, peak };
  } finally {
    await system.stop();
    rmSync(root, { recursive: true, force: true });
  }
}

/** Seconds that `count` copies of the prepared file take, one after the other. */
function copyTimes(count: number): number {
  const folder = join(work, "copies");
  mkdirSync(folder);
  const startedAt = performance.now();
  for (let index = 0; index < count; index++) {
    execFileSync("cp", [join(work, "prepared"), join(folder, String(index))]);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  rmSync(folder, { recursive: true });
  return seconds;
}

function makeRepository(prepared: string, output: string): string {
  const path = join(work, "repository");
  rmSync(path, { recursive: true, force: true });
  const text = recipe({
    service: "bench",
    run: `cp -r ${prepared} ${output}`,
    output,
    timeout: "15m",
    activate: { hook: ["/bin/true"] },
    rollout: ALL_AT_ONCE,
  });
  new Repository(path).commit({ "millrace.yaml": text });
  return path;
}

/** A file of bytes that do not compress, other ones each time. */
function noise(path: string, bytes: number): void {
  const cipher = createCipheriv("aes-256-ctr", randomBytes(32), randomBytes(16));
  const zeros = Buffer.alloc(4 * 1024 * 1024);
  const file = openSync(path, "w");
  for (let done = 0; done < bytes; done += zeros.length) writeSync(file, cipher.update(zeros));
  closeSync(file);
}

/** A million files of 100-700 bytes in a thousand folders. */
function smallFiles(path: string): void {
  const pool = randomBytes(64 * 1024);
  for (let folder = 0; folder < 1_000; folder++) {
    const name = join(path, `d${String(folder).padStart(3, "0")}`);
    mkdirSync(name, { recursive: true });
    for (let file = 0; file < 1_000; file++) {
      const number = folder * 1_000 + file;
      const length = 100 + (number % 600);
      const body = Buffer.concat([
        Buffer.from(`${number}\n`),
        pool.subarray(number % 60_000, (number % 60_000) + length),
      ]);
      writeFileSync(join(name, `f${String(file).padStart(3, "0")}`), body);
    }
  }
}

function report(name: string, seconds: number, copied: number | undefined, peak: Peaks): void {
  const beside = copied === undefined ? "" : `, copies ${copied.toFixed(1)} s`;
  const memory = `agent ${peak.agent} MB, relay ${peak.relay} MB, worker ${peak.worker} MB`;
  console.error(`${name}: ship ${seconds.toFixed(1)} s${beside}; ${memory}`);
}
