// The folder that a system lives in which is to leave nothing behind: no process and no file of it stays, however it
// ended. Demos and load runs have one.
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { killSystem } from "./system.ts";

/** Such a folder. */
export interface PassingRoot {
  readonly path: string;
  /** Ends what still runs there and removes it; a repeat does nothing. */
  clear(): void;
}

/** Makes the folder for a command; `given` must be new or empty, because it is removed at the end unless `keep`. */
export function makePassingRoot(
  command: string,
  given: string | undefined,
  keep: boolean,
): PassingRoot {
  // Real, because /proc names processes' folders so.
  const path = realpathSync(given === undefined ? newFolder(command) : emptyFolder(given));
  let isCleared = false;
  const clear = (): void => {
    if (isCleared) return;
    isCleared = true;
    killSystem(path);
    for (const pid of processesBelow(path)) kill(pid);
    // What was killed may still write its last file.
    if (!keep) rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  };
  // Also after an error that nobody caught.
  process.once("exit", clear);
  return { path, clear };
}

function newFolder(command: string): string {
  return mkdtempSync(join(tmpdir(), `millrace-${command}-`));
}

function emptyFolder(given: string): string {
  mkdirSync(given, { recursive: true });
  if (readdirSync(given).length === 0) return given;
  throw new CommandError(EXIT.usage, `--root ${given}: expected a new or an empty folder`);
}

/** Processes that work in the folder: services, and the commands of builds. */
function processesBelow(path: string): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    if (pid === process.pid) return false;
    try {
      return `${readlinkSync(`/proc/${pid}/cwd`)}${sep}`.startsWith(`${path}${sep}`);
    } catch {
      // Ended meanwhile, or another user's.
      return false;
    }
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
