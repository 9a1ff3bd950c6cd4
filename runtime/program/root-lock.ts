// One program per root folder: a file with the holder's pid and start time. A lock whose holder is dead
// is taken over, so a `kill -9` leaves nothing to clean up by hand.
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processStartTime } from "./process-start.ts";

const LOCK_FILE = "lock";

/** Another living program holds the folder. */
export class RootLockedError extends Error {
  override readonly name = "RootLockedError";
}

/** Creates `root` and locks it; returns what frees it. Throws RootLockedError naming the holder. */
export function lockRoot(root: string): () => void {
  mkdirSync(root, { recursive: true });
  const path = join(root, LOCK_FILE);
  const mine = `${path}.${process.pid}`;
  writeFileSync(mine, `${process.pid} ${processStartTime(process.pid) ?? 0}\n`);
  try {
    while (!linked(mine, path)) {
      const holder = readHolder(path);
      if (holder !== undefined && isAlive(holder)) {
        throw new RootLockedError(
          `${root} is in use by process ${holder.pid}; end it, or choose another --root`,
        );
      }
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
  return () => rmSync(path, { force: true });
}

interface Holder {
  readonly pid: number;
  readonly startTime: number;
}

function linked(source: string, target: string): boolean {
  try {
    linkSync(source, target);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function readHolder(path: string): Holder | undefined {
  try {
    const [pid, startTime] = readFileSync(path, "utf8").trim().split(" ").map(Number);
    return pid === undefined ? undefined : { pid, startTime: startTime ?? 0 };
  } catch {
    return undefined;
  }
}

function isAlive(holder: Holder): boolean {
  const startTime = processStartTime(holder.pid);
  return startTime !== undefined && startTime === holder.startTime;
}
