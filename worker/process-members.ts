// Finds processes by what the kernel says of them: the group they are in, and the environment they were
// started with. The second finds those that have left their group for a session of their own.
import { readdirSync, readFileSync } from "node:fs";

/** A set of processes; `mark` is "NAME=value" in the environment that they were started with. */
export interface Members {
  /** Process group; undefined: found by the mark alone. */
  readonly group: number | undefined;
  readonly mark: string;
}

/** Pids of those that live; a zombie that nobody has waited for does not. */
export function livingMembers(members: Members): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && isMember(pid, members));
}

/** Sends a signal to each; one that has ended meanwhile is no error. */
export function signalMembers(members: Members, signal: NodeJS.Signals): void {
  // The group at once first, so that none of it can multiply between two of its deaths.
  if (members.group !== undefined) send(-members.group, signal);
  for (const pid of livingMembers(members)) send(pid, signal);
}

function send(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function isMember(pid: number, { group, mark }: Members): boolean {
  const stat = readProc(pid, "stat");
  const [state, , pgrp] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (state === undefined || state === "" || state === "Z" || state === "X") return false;
  if (group !== undefined && Number(pgrp) === group) return true;
  return `\0${readProc(pid, "environ")}`.includes(`\0${mark}\0`);
}

/** Empty where the process has ended or belongs to somebody else. */
function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch {
    return "";
  }
}
