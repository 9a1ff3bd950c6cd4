// A whole system as a user starts it: `millrace up` as a process, commands through the CLI, programs
// killed by their names. Tests and benchmarks use the same.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { isSameProcess } from "../../runtime/program/process-start.ts";
import { until } from "./until.ts";

const MILLRACE = fileURLToPath(new URL("../../cli/millrace.js", import.meta.url));

/** What a command left behind. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What `ship --json` prints. */
export interface ShipResult {
  readonly ok: boolean;
  readonly service: string;
  readonly sha: string;
  readonly release: string;
  readonly build?: { readonly id: string; readonly state: string; readonly reason?: string };
  readonly rollout?: { readonly id: string; readonly state: string; readonly reason?: string };
  readonly agents?: { readonly total: number; readonly active: number };
  readonly bytes?: Readonly<Record<string, number>>;
}

export interface SystemFlags {
  readonly root: string;
  readonly regions?: number;
  readonly agents?: number;
  readonly relays?: number;
  /** URL that blob stores lie below; the root where it is left out. */
  readonly blobs?: string;
  /** Each program serves its metrics. */
  readonly metrics?: boolean;
  /** Silence after which a worker counts as lost, milliseconds. */
  readonly buildDetectMs?: number;
  /** File that the store is backed up to each second. */
  readonly storeBackup?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** What `up --json` prints. */
interface UpReport {
  readonly ok: boolean;
  readonly address: string;
  /** Ports by program. */
  readonly metrics: Readonly<Record<string, number>>;
}

interface ChildRecord {
  readonly name: string;
  readonly pid: number;
  readonly startTime: number;
}

/** A running `millrace up`. */
export class System {
  readonly root: string;
  readonly address: string;
  /** Ports of the programs' metrics, by program, where they were asked for. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly #up: ChildProcess;

  constructor(root: string, { address, metrics }: UpReport, up: ChildProcess) {
    this.root = root;
    this.address = address;
    this.metrics = metrics;
    this.#up = up;
  }

  /** Runs a command against this system. */
  millrace(...args: string[]): Promise<CommandResult> {
    return runMillrace([...args, "--addr", this.address]);
  }

  /** Starts a ship; resolves with its report whatever its end. */
  async ship(repository: string, ...flags: string[]): Promise<ShipResult> {
    const { stdout, stderr } = await this.millrace("ship", repository, "--json", ...flags);
    const last = stdout.trimEnd().split("\n").at(-1) ?? "";
    if (last === "") throw new Error(`ship printed no report: ${stderr}`);
    return JSON.parse(last) as ShipResult;
  }

  /** What a read prints with --json. */
  async read<Answer>(...args: string[]): Promise<Answer> {
    const { code, stdout, stderr } = await this.millrace(...args, "--json");
    if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Answer;
  }

  /** Processes of the system whose names begin so: "agent-", "relay-eu-west-1". */
  children(prefix = ""): ChildRecord[] {
    return childrenOf(this.root).filter((child) => child.name.startsWith(prefix));
  }

  /** Sends a signal to one program by its name. */
  signal(name: string, signal: NodeJS.Signals): void {
    const child = this.children().find((record) => record.name === name);
    if (child === undefined) throw new Error(`no program ${name} runs`);
    process.kill(child.pid, signal);
  }

  /** Has `up` start programs that end, as it does unless told not to. */
  supervise(isOn: boolean): void {
    this.#up.kill(isOn ? "SIGCONT" : "SIGSTOP");
  }

  /** Largest peak RSS among the processes of one program so far, in MB of 10^6 bytes. */
  peakRssMb(program: "agent" | "relay" | "worker"): number {
    const peaks = this.children(`${program}-`).map((child) => {
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
      // One that was killed a moment ago has none.
      return (Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024) / 1e6;
    });
    return Math.round(Math.max(...peaks));
  }

  /** Ends it as Ctrl-C does. */
  async stop(): Promise<void> {
    if (this.#up.exitCode !== null || this.#up.signalCode !== null) return;
    const exited = once(this.#up, "exit");
    this.#up.kill("SIGTERM");
    await exited;
  }

  /** kill -9 of `up` and of every program at once; what the agents supervise lives on. */
  async crash(): Promise<void> {
    const children = this.children();
    const exited = once(this.#up, "exit");
    this.#up.kill("SIGKILL");
    for (const { pid, startTime } of children) {
      if (isSameProcess(pid, startTime)) process.kill(pid, "SIGKILL");
    }
    await exited;
    await until("all programs have ended", () =>
      children.every(({ pid, startTime }) => !isSameProcess(pid, startTime)),
    );
  }
}

/** Starts a system on a free port; rejects where it does not get up. */
export async function startSystem(flags: SystemFlags): Promise<System> {
  const args = ["up", "--json", "--root", flags.root, "--port", "0"];
  args.push("--regions", String(flags.regions ?? 1), "--agents", String(flags.agents ?? 2));
  args.push("--relays", String(flags.relays ?? 1));
  if (flags.blobs !== undefined) args.push("--blobs", flags.blobs);
  if (flags.metrics === true) args.push("--metrics");
  if (flags.storeBackup !== undefined) {
    args.push("--store-backup", flags.storeBackup, "--store-backup-every", `${1 / 60}`);
  }
  if (flags.buildDetectMs !== undefined) args.push("--build-detect", String(flags.buildDetectMs));
  const up = spawn(process.execPath, [MILLRACE, ...args], {
    env: environment(flags.root, flags.env),
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (up.stdout === null) throw new Error("stdout is a pipe");
  const lines = createInterface({ input: up.stdout });
  const line = await Promise.race([
    once(lines, "line").then(([text]) => text as string),
    once(up, "exit").then(() => undefined),
  ]);
  if (line === undefined) throw new Error(`up ended with ${up.exitCode} before it was up`);
  const report = JSON.parse(line) as UpReport;
  if (!report.ok) throw new Error(`up failed: ${line}`);
  return new System(flags.root, report, up);
}

/** Runs the command line to its end. */
export async function runMillrace(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [MILLRACE, ...args], {
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? -1, stdout, stderr };
}

function childrenOf(root: string): ChildRecord[] {
  const path = join(root, "up.json");
  if (!existsSync(path)) return [];
  return (JSON.parse(readFileSync(path, "utf8")) as { children: ChildRecord[] }).children;
}

/** The user's own `up` is left alone: this one announces itself below its root. */
function environment(root: string, extra: SystemFlags["env"]): NodeJS.ProcessEnv {
  return { ...process.env, MILLRACE_HOME: join(root, "home"), ...extra };
}
