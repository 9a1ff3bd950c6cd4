// A system for a benchmark: `millrace up` as a user starts it, ships through the CLI, memory as the
// kernel counts it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const MILLRACE = fileURLToPath(new URL("../../cli/millrace.js", import.meta.url));

/** What `ship --json` prints, as far as benchmarks read it. */
export interface ShipResult {
  readonly ok: boolean;
  readonly agents?: { readonly total: number; readonly active: number };
}

export interface BenchSystem {
  /** Ships a repository and waits for its end. */
  ship(repository: string): Promise<ShipResult>;
  /** Largest peak RSS among the processes of one program so far, in MB of 10^6 bytes. */
  peakRssMb(program: "agent" | "relay" | "worker"): number;
  stop(): Promise<void>;
}

/** Starts a system with `agents` in each region on a free port. */
export async function startBenchSystem(options: {
  readonly root: string;
  readonly regions: number;
  readonly agents: number;
}): Promise<BenchSystem> {
  const { root, regions, agents } = options;
  const args = ["up", "--json", "--root", root, "--port", "0"];
  args.push("--regions", String(regions), "--agents", String(agents));
  const up = spawn(process.execPath, [MILLRACE, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const { address } = (await lastJson(up, true)) as { address: string };
  return {
    ship: async (repository) => {
      const ship = ["ship", repository, "--json", "--addr", address];
      const child = spawn(process.execPath, [MILLRACE, ...ship], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      return (await lastJson(child, false)) as ShipResult;
    },
    peakRssMb: (program) => peakRssMb(root, program),
    stop: async () => {
      up.kill("SIGTERM");
      if (up.exitCode === null) await once(up, "exit");
    },
  };
}

/** The last line of JSON that a process prints; the first one where it goes on running. */
async function lastJson(child: ChildProcess, goesOn: boolean): Promise<unknown> {
  if (child.stdout === null) throw new Error("stdout is a pipe");
  let last: string | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    last = line;
    if (goesOn) break;
  }
  if (last === undefined) throw new Error(`${child.spawnargs.join(" ")} printed nothing`);
  if (goesOn) child.stdout.resume();
  return JSON.parse(last);
}

function peakRssMb(root: string, program: string): number {
  const state = JSON.parse(readFileSync(join(root, "up.json"), "utf8")) as {
    children: { name: string; pid: number }[];
  };
  const peaks = state.children
    .filter((child) => child.name.startsWith(`${program}-`))
    .map((child) => {
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
      return (Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024) / 1e6;
    });
  return Math.round(Math.max(...peaks));
}
