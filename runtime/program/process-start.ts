// Tells one process from a later one that got the same pid, by its start time.
import { readFileSync } from "node:fs";

/** Field 22 of /proc/<pid>/stat, counted from behind the name, which may hold spaces. */
const START_TIME_FIELD = 19;

/** Field 3, the state: a zombie has ended, only its parent has not looked yet. */
const STATE_FIELD = 0;

/** Start time of a living process in clock ticks since boot; undefined where there is none. */
export function processStartTime(pid: number): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[STATE_FIELD] === "Z" || fields[STATE_FIELD] === "X") return undefined;
  return Number(fields[START_TIME_FIELD]);
}

/** Whether this very process, not a later one with its pid, still lives. */
export function isSameProcess(pid: number, startTime: number): boolean {
  return processStartTime(pid) === startTime;
}
