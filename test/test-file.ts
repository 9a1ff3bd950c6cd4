// Runs one test file in a process group of its own, with a limit on its time, and says what its tests
// came to. Node's own `--test` is not used, because it passes when nothing ran, and because its
// time limit does not end a process that hangs.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const REPORTER = fileURLToPath(new URL("./summary-reporter.ts", import.meta.url));

/** What the tests of one or more files came to. */
export interface Counts {
  tests: number;
  passed: number;
  failed: number;
  cancelled: number;
  skipped: number;
  todo: number;
}

/** Result of one file; `problem` says in words why it failed where the counts do not. */
export interface FileResult {
  readonly path: string;
  readonly counts: Counts;
  readonly output: string;
  readonly seconds: number;
  readonly problem: string | undefined;
}

/** Runs the file to its end or for `timeoutMs`; whatever its process group left behind is killed. */
export async function runTestFile(path: string, timeoutMs: number): Promise<FileResult> {
  const scratch = mkdtempSync(join(tmpdir(), "millrace-test-run-"));
  const summaryPath = join(scratch, "summary.json");
  const startedAt = performance.now();
  try {
    const { output, code, timedOut } = await execute(path, summaryPath, timeoutMs);
    const counts = readCounts(summaryPath);
    return {
      path,
      output,
      counts: counts ?? { tests: 1, passed: 0, failed: 1, cancelled: 0, skipped: 0, todo: 0 },
      seconds: (performance.now() - startedAt) / 1000,
      problem: problemOf(counts, code, timedOut ? timeoutMs : undefined),
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function execute(path: string, summaryPath: string, timeoutMs: number) {
  const reporters = [
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    `--test-reporter=${REPORTER}`,
    `--test-reporter-destination=${summaryPath}`,
  ];
  const child = spawn(process.execPath, [...reporters, path], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let timedOut = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
  const limit = setTimeout(() => {
    timedOut = true;
    killGroup(child.pid);
  }, timeoutMs);
  const onExit = () => killGroup(child.pid);
  process.on("exit", onExit);
  return new Promise<{ output: string; code: number | null; timedOut: boolean }>(
    (resolve, reject) => {
      child.on("error", reject);
      // What it left behind may hold its output open, and "close" would wait for it.
      child.on("exit", () => killGroup(child.pid));
      child.on("close", (code) => {
        clearTimeout(limit);
        process.off("exit", onExit);
        resolve({ output, code, timedOut });
      });
    },
  );
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The group is empty.
  }
}

function readCounts(summaryPath: string): Counts | undefined {
  try {
    return (JSON.parse(readFileSync(summaryPath, "utf8")) as { counts: Counts }).counts;
  } catch {
    return undefined;
  }
}

function problemOf(
  counts: Counts | undefined,
  code: number | null,
  timeoutMs: number | undefined,
): string | undefined {
  if (timeoutMs !== undefined) {
    const left =
      counts === undefined ? "its tests did not end" : "its tests ended, the process not";
    return `killed after ${timeoutMs / 1000} s: ${left}`;
  }
  if (counts === undefined) return `ran no test (exit code ${code})`;
  if (counts.tests === counts.skipped) return "ran no test: each one is skipped";
  if (counts.failed + counts.cancelled > 0) return "has tests that failed";
  return code === 0 ? undefined : `exit code ${code}, though no test failed`;
}
