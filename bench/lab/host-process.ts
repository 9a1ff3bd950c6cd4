// A process on a host of the lab: its lines, its end, and what it cost.
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** Ticks a second of times in /proc. */
const TICKS_PER_S = 100;
/** Bytes of its stderr that are kept for the message when it ends too soon. */
const STDERR_BYTES_MAX = 4_096;

/** Waits for lines on the stdout of a process; rejects when it ends before. */
export class Lines {
  readonly #waits: { readonly start: string; resolve: () => void; reject: (e: Error) => void }[] =
    [];
  #stderr = "";
  #end: Error | undefined;

  constructor(name: string, child: ChildProcess) {
    if (child.stdout === null || child.stderr === null) throw new Error(`${name} has no pipes`);
    createInterface(child.stdout).on("line", (line) => this.#heard(line));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_BYTES_MAX);
    });
    child.once("close", (code, signal) => {
      this.#end = new Error(`${name} ended (${code ?? signal}): ${this.#stderr.trim()}`);
      for (const { reject } of this.#waits.splice(0)) reject(this.#end);
    });
  }

  /** Resolves at the next line that starts so; waits of one start take a line each. */
  starting(start: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) reject(this.#end);
      else this.#waits.push({ start, resolve, reject });
    });
  }

  #heard(line: string): void {
    const at = this.#waits.findIndex(({ start }) => line.startsWith(start));
    if (at >= 0) this.#waits.splice(at, 1)[0]?.resolve();
  }
}

/** Largest resident set of a living process in MB. */
export function peakRssMb({ pid }: ChildProcess): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return (Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024) / 1e6;
}

/** Seconds of CPU. */
export interface CpuSeconds {
  readonly user: number;
  readonly system: number;
}

/** CPU that a process has used; an ended one nothing. */
export function cpuOf({ pid, signalCode, exitCode }: ChildProcess): CpuSeconds {
  if (signalCode !== null || exitCode !== null) return { user: 0, system: 0 };
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { user: Number(fields[11]) / TICKS_PER_S, system: Number(fields[12]) / TICKS_PER_S };
}

/** What processes have used since `before`; those that have ended since count nothing. */
export function cpuSince(
  children: readonly ChildProcess[],
  before: readonly CpuSeconds[],
): CpuSeconds {
  const spent = children.map((child, at) => {
    const [now, then] = [cpuOf(child), before[at] as CpuSeconds];
    return {
      user: Math.max(0, now.user - then.user),
      system: Math.max(0, now.system - then.system),
    };
  });
  const sum = (of: keyof CpuSeconds) => spent.reduce((all, one) => all + one[of], 0);
  return { user: sum("user"), system: sum("system") };
}

/** Seconds that all cores of the machine have been idle. */
export function idleSeconds(): number {
  const [all = ""] = readFileSync("/proc/stat", "latin1").split("\n");
  return Number(all.split(/\s+/)[4]) / TICKS_PER_S;
}

/** Ends a process and what it started, and waits for the end. */
export async function endGroup(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once("close", resolve));
  process.kill(-child.pid, "SIGKILL");
  await ended;
}
