// The driver processes of a load run: starts them, sums up what they tell, and ends them. What they tell is as old as
// 50 ms; a driver that ends by itself ends the run.
import { type ChildProcess, fork } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { moduleUrl } from "../../runtime/module-url.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { lastWords } from "../up/last-words.ts";
import type { DriverPlan } from "./load-plan.ts";

/** A program of its own below simulator/, started as any other. */
const DRIVER = fileURLToPath(moduleUrl("../../simulator/load/main.ts", import.meta.url));

/** 10,000 agents do a thing a few times each: the best code for it takes more to compile than it saves. */
const DRIVER_FLAGS = ["--maglev-as-top-tier"];

/** What drivers tell, one or all of them together. */
export interface Standing {
  readonly started: number;
  readonly connected: number;
  readonly connections: number;
  /** Permits that agents have taken, by rollout. */
  readonly permits: Readonly<Record<string, number>>;
}

export interface DriverOptions {
  /** Control planes, "host:port,...". */
  readonly join: string;
  readonly agentsPerConnection: number;
  /** Agents started a second by each driver; 0: as fast as relays welcome them. */
  readonly ratePerS: number;
  readonly labels: readonly string[];
  /** Folder for their logs. */
  readonly logs: string;
}

interface Driver {
  readonly process: ChildProcess;
  standing: Standing;
  isReady: boolean;
}

const NOTHING: Standing = { started: 0, connected: 0, connections: 0, permits: {} };

/** Drivers that were started together. */
export class AgentDrivers {
  readonly #drivers: Driver[] = [];
  readonly #waiting = new Set<() => void>();
  #failure: Error | undefined;
  #isStopped = false;

  constructor(plans: readonly DriverPlan[], options: DriverOptions) {
    for (const plan of plans) this.#start(plan, options);
  }

  /** Has them start their agents; resolves when the processes are up and do. */
  async begin(signal: AbortSignal): Promise<void> {
    await this.until(() => this.#drivers.every(({ isReady }) => isReady), signal);
    for (const { process } of this.#drivers) process.send("begin");
  }

  /** Ids of the processes. */
  get pids(): readonly number[] {
    return this.#drivers.flatMap(({ process }) => process.pid ?? []);
  }

  /** All of them together, as last told. */
  get standing(): Standing {
    const permits: Record<string, number> = {};
    let [started, connected, connections] = [0, 0, 0];
    for (const { standing } of this.#drivers) {
      started += standing.started;
      connected += standing.connected;
      connections += standing.connections;
      for (const [rollout, count] of Object.entries(standing.permits)) {
        permits[rollout] = (permits[rollout] ?? 0) + count;
      }
    }
    return { started, connected, connections, permits };
  }

  /** Resolves when it holds; rejects when a driver has ended, or with the signal's reason. */
  async until(holds: (standing: Standing) => boolean, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#failure !== undefined) throw this.#failure;
      if (holds(this.standing)) return;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener("abort", wake, { once: true });
      });
    }
  }

  /** Has the processes stand still, as machines do that have lost their power: no connection is closed. */
  freeze(): void {
    for (const { process } of this.#drivers) process.kill("SIGSTOP");
  }

  /** Ends them, also those that stand still; relays see their agents go. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const ended = this.#drivers.map(({ process }) => {
      if (process.exitCode !== null || process.signalCode !== null) return Promise.resolve();
      const end = new Promise<void>((resolve) => process.once("exit", () => resolve()));
      process.disconnect();
      process.kill("SIGCONT");
      return end;
    });
    await Promise.all(ended);
  }

  #start(plan: DriverPlan, options: DriverOptions): void {
    const logPath = join(options.logs, `${plan.prefix}.log`);
    const log = openSync(logPath, "a");
    const child = fork(DRIVER, driverArgs(plan, options), {
      env: { NODE_NO_WARNINGS: "1", MILLRACE_LOG: "warn", ...process.env },
      execArgv: DRIVER_FLAGS,
      stdio: ["ignore", log, log, "ipc"],
      detached: true,
    });
    closeSync(log);
    const driver: Driver = { process: child, standing: NOTHING, isReady: false };
    child.on("message", (standing) => {
      driver.standing = standing as Standing;
      driver.isReady = true;
      for (const wake of [...this.#waiting]) wake();
    });
    child.once("exit", (code, ending) => {
      if (this.#isStopped) return;
      const why = lastWords(logPath) ?? `it ended (${ending ?? `exit code ${code}`})`;
      this.#failure = new CommandError(EXIT.error, `a driver of agents failed: ${why}`);
      for (const wake of [...this.#waiting]) wake();
    });
    this.#drivers.push(driver);
  }
}

function driverArgs(plan: DriverPlan, options: DriverOptions): string[] {
  return [
    ...["--join", options.join, "--region", plan.region],
    ...["--prefix", plan.prefix, "--agents", String(plan.agents)],
    ...["--per-connection", String(options.agentsPerConnection)],
    ...["--rate", String(options.ratePerS)],
    ...options.labels.flatMap((label) => ["--label", label]),
  ];
}
