// One program as a process, with its own `main.ts`: started, ready, ended. Whole systems are started
// through the command line instead (`system.ts`).
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../runtime/package-root.ts";

/** Exit code, or the signal that ended it; the other is null. */
export type ProgramEnd = [number | null, NodeJS.Signals | null];

export interface StartedProgram<Ready> {
  /** What it said when it was ready. */
  readonly ready: Ready;
  readonly process: ChildProcess;
  readonly pid: number;
  readonly exited: Promise<ProgramEnd>;
  /** Sends the signal and waits for the end; one that has ended is no error. */
  end(signal: NodeJS.Signals): Promise<ProgramEnd>;
}

export type ProgramName = "agent" | "controlplane" | "relay" | "worker";

/** Main module of a program of this checkout. */
export function mainOf(name: ProgramName): string {
  return fileURLToPath(new URL(`${name}/main.ts`, packageRoot()));
}

/** Starts `node NAME/main.ts`, or another `main`, resolves once it is ready, and rejects where it ends before. */
export async function startProgram<Ready>(
  name: ProgramName,
  flags: readonly string[],
  env: Readonly<Record<string, string>>,
  main = mainOf(name),
): Promise<StartedProgram<Ready>> {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main, ...flags], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", process.env["MILLRACE_TEST_LOG"] ? "inherit" : "ignore"],
  });
  const exited = once(child, "exit") as Promise<ProgramEnd>;
  const line = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve);
    void exited.then((end) => reject(new Error(`${name} ended before it was ready: ${end}`)));
  });
  const end = (signal: NodeJS.Signals): Promise<ProgramEnd> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return exited;
  };
  const pid = child.pid as number;
  return { ready: JSON.parse(line) as Ready, process: child, pid, exited, end };
}
