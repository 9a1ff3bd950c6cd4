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

  /** Resolves at the next line that starts so. */
  starting(start: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) reject(this.#end);
      else this.#waits.push({ start, resolve, reject });
    });
  }

  #heard(line: string): void {
    for (const wait of [...this.#waits]) {
      if (!line.startsWith(wait.start)) continue;
      this.#waits.splice(this.#waits.indexOf(wait), 1);
      wait.resolve();
    }
  }
}

/** Largest resident set of a living process in MB. */
export function peakRssMb({ pid }: ChildProcess): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return (Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024) / 1e6;
}

/** Seconds of CPU that these processes have used, user and system; ended ones count nothing. */
export function cpuSeconds(children: readonly ChildProcess[]): number {
  return children.reduce((sum, child) => sum + cpuOf(child), 0);
}

/** Seconds that all cores of the machine have been idle. */
export function idleSeconds(): number {
  const [all = ""] = readFileSync("/proc/stat", "latin1").split("\n");
  return Number(all.split(/\s+/)[4]) / TICKS_PER_S;
}

function cpuOf({ pid, signalCode, exitCode }: ChildProcess): number {
  if (signalCode !== null || exitCode !== null) return 0;
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}

/** Ends a process and what it started, and waits for the end. */
export async function endGroup(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once("close", resolve));
  process.kill(-child.pid, "SIGKILL");
  await ended;
}
