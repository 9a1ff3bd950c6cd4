// The runner behind `npm test`: the checks, then the tests group by group, then one summary. It knows
// which groups there are and how many files may run at once; `test-file.ts` knows how to run one.
import { existsSync, globSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { CHECKS } from "./checks.ts";
import { type Counts, type FileResult, runTestFile } from "./test-file.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Longest one file may take; the slowest integration test starts a whole system several times. */
const FILE_TIMEOUT_MS = 5 * 60_000;

/** Groups in the order they run: `test/<name>/`. Those that start real systems run one by one. */
const GROUPS: readonly { readonly name: string; readonly concurrency: number }[] = [
  { name: "tidy", concurrency: 2 },
  { name: "core", concurrency: 2 },
  { name: "simulation", concurrency: 2 },
  { name: "contracts", concurrency: 2 },
  { name: "integration", concurrency: 1 },
  { name: "package", concurrency: 1 },
];

/** Files of the suite, raised as it grows; fewer means that tests got lost or are not found. */
const FILES_MIN = 17;

const USAGE = `usage: npm test -- [--only GROUP] [--file PATH]
groups: ${GROUPS.map((group) => group.name).join(" ")}`;

const startedAt = performance.now();
const total: Counts = { tests: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0 };
const problems: string[] = [];

process.env["NODE_OPTIONS"] = [
  process.env["NODE_OPTIONS"],
  "--disable-warning=ExperimentalWarning",
].join(" ");
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

const { only, file } = parseFlags();
if (file !== undefined) {
  await runFiles([resolve(file)], 1);
} else {
  if (only === undefined) refuseStrayFiles();
  if (only === undefined || only === "tidy") runChecks();
  for (const group of GROUPS) {
    if (only === undefined || only === group.name) await runGroup(group.name, group.concurrency);
  }
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

async function runGroup(name: string, concurrency: number): Promise<void> {
  const paths = testFiles(`test/${name}`);
  if (paths.length > 0) {
    console.log(`# ${name}`);
    await runFiles(paths, concurrency);
  } else if (existsSync(resolve(ROOT, "test", name))) {
    fail(`test/${name} holds no test file`);
  } else {
    console.log(`# ${name}: none yet`);
  }
}

async function runFiles(paths: readonly string[], concurrency: number): Promise<void> {
  const queue = [...paths];
  const lane = async () => {
    for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
      record(await runTestFile(resolve(ROOT, path), FILE_TIMEOUT_MS));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
}

function record(result: FileResult): void {
  const path = relative(ROOT, result.path);
  const body = result.output.split("\n").filter((line) => !line.startsWith("ℹ "));
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
