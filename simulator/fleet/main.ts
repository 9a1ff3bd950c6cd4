// `npm run fuzz:sim -- --seeds N [--from K] [--rows] [--json]`: the fleet's fault swarm, so many seeds on all cores. Each
// violation is printed with the command that replays it; `--replay K` runs one seed and tells what happened in it.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { moduleUrl } from "../../runtime/module-url.ts";
import { FAULTS } from "./fault-table.ts";
import { runSeed, type SeedReport } from "./run-seed.ts";
import type { Scene } from "./scene.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    threads: { type: "string", default: String(availableParallelism()) },
    replay: { type: "string" },
    rows: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

/** Young objects die young in a simulation: with room for a few seconds of them the collector has half as much to do. */
const YOUNG_MB = 64;
/** Seeds that a thread is given at a time. */
const TURN = 5;

if (values.replay !== undefined) replay(number("replay", values.replay));
else await sweep();

function number(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${flag} ${text}: expected a whole number`);
  process.exit(2);
}

/** Runs one seed, and prints each rollout's row as it is written and each fault as it strikes. */
function replay(seed: number): void {
  const look = (scene: Scene): void => {
    const say = (what: string) => console.log(`${(scene.now / 1_000).toFixed(3)} ${what}`);
    scene.onStrike = ({ row, what }) => say(`fault ${row}: ${what}`);
    const { onCommit } = scene.world.store;
    scene.world.store.onCommit = (operations, by) => {
      for (const operation of operations) {
        const value = "put" in operation ? JSON.stringify(operation.value) : "deleted";
        const key = "put" in operation ? operation.put : operation.delete;
        say(`epoch ${by ?? "-"} ${key} ${value.slice(0, 400)}`);
      }
      onCommit(operations, by);
    };
  };
  const report = runSeed(seed, { look });
  console.log(JSON.stringify(report));
  if (report.violation !== undefined) process.exitCode = 1;
}

async function sweep(): Promise<void> {
  const from = number("from", values.from);
  const seeds = number("seeds", values.seeds);
  const startedAt = performance.now();
  const reports: SeedReport[] = [];
  let next = from;
  const take = (): number[] => {
    const first = next;
    next = Math.min(first + TURN, from + seeds);
    return Array.from({ length: next - first }, (_, index) => first + index);
  };
  const threads = Math.max(1, number("threads", values.threads));
  await Promise.all(
    Array.from({ length: threads }, async () => {
      const worker = new Worker(moduleUrl("./seed-thread.ts", import.meta.url), {
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      });
      for (let turn = take(); turn.length > 0; turn = take()) {
        for (const report of await ask(worker, turn)) {
          reports.push(report);
          if (report.violation !== undefined) tell(report);
        }
      }
      await worker.terminate();
    }),
  );
  conclude(reports, (performance.now() - startedAt) / 1_000);
}

function ask(worker: Worker, seeds: readonly number[]): Promise<SeedReport[]> {
  return new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", (reports: SeedReport[]) => {
      worker.off("error", reject);
      resolve(reports);
    });
    worker.postMessage(seeds);
  });
}

function tell({ seed, violation }: SeedReport): void {
  console.log(`seed ${seed}: ${violation?.what}`);
  console.log(`  npm run fuzz:sim -- --replay ${seed}`);
}

function conclude(reports: readonly SeedReport[], wallS: number): void {
  const violations = reports.filter(({ violation }) => violation !== undefined).length;
  if (values.rows) printRows(reports);
  const facts = reports.reduce((sum, report) => sum + report.facts, 0);
  const virtualH = reports.reduce((sum, report) => sum + report.virtualMs, 0) / 3_600_000;
  const { user, system } = process.cpuUsage();
  const figures = {
    seeds: reports.length,
    violations,
    wall_s: round(wallS),
    // Of all threads: what it takes where others have the machine, too.
    cpu_s: round((user + system) / 1e6),
    seed_ms: round((wallS * 1_000) / Math.max(1, reports.length)),
    facts,
    virtual_h: round(virtualH),
  };
  console.log(JSON.stringify(values.json ? { bench: "fuzz-sim", figures } : figures));
  if (violations > 0) process.exitCode = 1;
}

/** How often each fault struck. */
function printRows(reports: readonly SeedReport[]): void {
  const struck = new Map<string, number>();
  for (const { faults } of reports) {
    for (const what of faults) struck.set(what, (struck.get(what) ?? 0) + 1);
  }
  for (const { row, what } of FAULTS.toSorted((a, b) => a.row - b.row)) {
    console.log(`${String(row).padStart(4)} ${String(struck.get(what) ?? 0).padStart(7)}  ${what}`);
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
