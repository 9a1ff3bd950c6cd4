// The runner behind `npm test`: the checks, then the files of tests, group after group and as many at once
// as the machine has room for, then one summary. `test-file.ts` knows how to run one file.
import { existsSync, globSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { CHECKS } from "./checks.ts";
import { type Counts, type FileResult, runTestFile } from "./test-file.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Longest one file may take; the slowest integration test starts a whole system several times. */
const FILE_TIMEOUT_MS = 5 * 60_000;

/**
 * Groups in the order in which their files start: `test/<name>/`. `load` is how many cores a file keeps
 * busy on average: user and system time of its processes by its time, measured with three files at once.
 */
const GROUPS: readonly { readonly name: string; readonly load: number }[] = [
  { name: "tidy", load: 1 },
  { name: "core", load: 1 },
  { name: "simulation", load: 1 },
  { name: "contracts", load: 0.3 },
  { name: "package", load: 1 },
  { name: "integration", load: 0.5 },
];

/** Cores to fill: two files at once also where there is one, and ten systems at most, which need 6 GB. */
const CORES = Math.min(5, Math.max(2, availableParallelism()));

/** Files of the suite, raised as it grows; fewer means that tests got lost or are not found. */
const FILES_MIN = 90;

interface QueuedFile {
  readonly path: string;
  readonly load: number;
}

const USAGE = `usage: npm test -- [--only GROUP] [--file PATH]
groups: ${GROUPS.map((group) => group.name).join(" ")}`;

const startedAt = performance.now();
const total: Counts = { tests: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0 };
const problems: string[] = [];

process.env["NODE_OPTIONS"] = [
  process.env["NODE_OPTIONS"],
  "--disable-warning=ExperimentalWarning",
].join(" ");
// Programs are started some 600 times; without it each one strips its types anew, 0.3 s of a core.
const compiled = mkdtempSync(join(tmpdir(), "millrace-test-compiled-"));
process.env["NODE_COMPILE_CACHE"] = compiled;
process.on("exit", () => rmSync(compiled, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

const { only, file } = parseFlags();
if (file !== undefined) {
  await runFiles([{ path: resolve(file), load: CORES }]);
} else {
  if (only === undefined) refuseStrayFiles();
  if (only === undefined || only === "tidy") runChecks();
  await runFiles(GROUPS.filter(({ name }) => only === undefined || only === name).flatMap(filesOf));
}
printSummary();
process.exitCode = problems.length === 0 && total.tests > 0 ? 0 : 1;

function parseFlags(): { only?: string; file?: string } {
  try {
    const { values } = parseArgs({
      options: { only: { type: "string" }, file: { type: "string" } },
    });
    if (values.only !== undefined && !GROUPS.some((group) => group.name === values.only)) {
      throw new Error(`no group ${values.only}`);
    }
    if (values.file !== undefined && !existsSync(values.file)) {
      throw new Error(`no file ${values.file}`);
    }
    return values;
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    process.exit(2);
  }
}

function testFiles(below: string): string[] {
  return globSync(`${below}/**/*.test.ts`, { cwd: ROOT }).sort();
}

function refuseStrayFiles(): void {
  const all = testFiles("test");
  const known = GROUPS.map((group) => `test/${group.name}/`);
  for (const path of all) {
    if (!known.some((folder) => path.startsWith(folder))) fail(`${path} belongs to no group`);
  }
  if (all.length < FILES_MIN) fail(`found ${all.length} test files, expected ${FILES_MIN} or more`);
}

function runChecks(): void {
  console.log("# checks");
  for (const check of CHECKS) {
    const wrong = check.run(ROOT);
    total.tests += 1;
    console.log(`${wrong === undefined ? "✔" : "✖"} ${check.name}`);
    if (wrong === undefined) {
      total.passed += 1;
    } else {
      total.failed += 1;
      console.log(wrong);
      problems.push(`check failed: ${check.name}`);
    }
  }
}

function filesOf({ name, load }: (typeof GROUPS)[number]): QueuedFile[] {
  const paths = testFiles(`test/${name}`);
  if (paths.length === 0) fail(`test/${name} holds no test file`);
  return paths.map((path) => ({ path: resolve(ROOT, path), load }));
}

/** Starts the files in their order, each once there is room beside those that run. */
async function runFiles(files: readonly QueuedFile[]): Promise<void> {
  const running = new Set<Promise<void>>();
  let busy = 0;
  for (const { path, load } of files) {
    while (busy + load > CORES && running.size > 0) await Promise.race(running);
    busy += load;
    const run = runTestFile(path, FILE_TIMEOUT_MS).then((result) => {
      busy -= load;
      running.delete(run);
      record(result);
    });
    running.add(run);
  }
  await Promise.all(running);
}

function record(result: FileResult): void {
  const path = relative(ROOT, result.path);
  // What Node notes besides is only of use where something went wrong.
  const isHidden = (line: string) => result.problem === undefined && line.startsWith("ℹ ");
  const body = result.output.split("\n").filter((line) => !isHidden(line));
  console.log(`## ${path} (${result.seconds.toFixed(1)} s)\n${body.join("\n").trimEnd()}`);
  for (const key of Object.keys(total) as (keyof Counts)[]) total[key] += result.counts[key];
  if (result.problem !== undefined) fail(`${path} ${result.problem}`);
}

function fail(problem: string): void {
  problems.push(problem);
  console.log(`✖ ${problem}`);
}

function printSummary(): void {
  if (problems.length > 0) console.log(`\nproblems:\n  ${problems.join("\n  ")}`);
  const { tests, passed, skipped, todo } = total;
  // A file that hangs or a group without files has no failed test to count, and still fails.
  const failed = Math.max(total.failed, problems.length > 0 ? 1 : 0);
  const lines = { tests, pass: passed, fail: failed, cancelled: total.cancelled, skipped, todo };
  console.log();
  for (const [name, count] of Object.entries(lines)) console.log(`# ${name} ${count}`);
  console.log(`# duration_ms ${Math.round(performance.now() - startedAt)}`);
}
