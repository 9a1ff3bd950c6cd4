// What a process of this machine uses, as the kernel counts it. Linux only, as /proc is.
import { readFileSync } from "node:fs";

/** Clock ticks a second in /proc: 100 on every Linux that Node runs on. */
const TICKS_PER_S = 100;
/** Fields 14 and 15 of /proc/<pid>/stat, counted from behind the name. */
const USER_FIELD = 11;
const SYSTEM_FIELD = 12;

export interface ProcessUsage {
  /** Memory that it holds now, and held at most. */
  readonly rssBytes: number;
  readonly rssBytesMost: number;
  /** Seconds of processors it has used. */
  readonly cpuS: number;
}

/** The usage of a process; undefined where there is none, or no /proc. */
export function processUsage(pid: number): ProcessUsage | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[USER_FIELD]) + Number(fields[SYSTEM_FIELD]);
    return {
      rssBytes: kib(status, "VmRSS") * 1024,
      rssBytesMost: kib(status, "VmHWM") * 1024,
      cpuS: ticks / TICKS_PER_S,
    };
  } catch {
    return undefined;
  }
}

function kib(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
}
