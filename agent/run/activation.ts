// Carries out the steps of a switch for one service: starts, hands over, checks, points, stops, runs
// hooks. It keeps the table of the service's processes and tells when one has ended; what follows from
// that is the machine's decision.
import { fileURLToPath } from "node:url";
import type { Step } from "../../core/fleet/agent-switch.ts";
import type { Activation, Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import { moduleUrl } from "../../runtime/module-url.ts";
import type { ServiceFolder } from "../service-folder.ts";
import { freePort } from "./free-port.ts";
import type { HandOver } from "./hand-over.ts";
import { askHealth, type HealthQuestion, stayedUp, untilHealthy } from "./health.ts";
import { runHook } from "./hook.ts";
import {
  endProcess,
  isAlive,
  type ServiceProcess,
  startProcess,
  watchProcess,
} from "./service-process.ts";
import type { ServiceCommand } from "./spawn-logged.ts";

/** How long an old process may take to end after SIGTERM, unless its recipe says. */
const DRAIN_MS_DEFAULT = 5_000;
/** Of the agent's own environment a service sees these only. */
const ENV_PASSED = ["PATH", "HOME", "LANG"];

export interface ActivationOptions {
  readonly service: string;
  readonly agentId: string;
  readonly region: string;
  readonly folder: ServiceFolder;
  /** Record of a release that is on disk. */
  readonly record: (release: string) => Release | undefined;
  /** A process has ended that was not told to. */
  readonly exited: (release: string, detail: string) => void;
  /** The table of processes is another. */
  readonly changed: () => void;
}

export class ServiceActivation {
  readonly #options: ActivationOptions;
  readonly #processes = new Map<string, ServiceProcess>();
  readonly #watches = new Map<string, () => void>();

  constructor(options: ActivationOptions) {
    this.#options = options;
  }

  /** Processes by release. */
  get processes(): Readonly<Record<string, ServiceProcess>> {
    return Object.fromEntries(this.#processes);
  }

  processOf(release: string): ServiceProcess | undefined {
    return this.#processes.get(release);
  }

  /** Takes over a living process that another life of this agent started. */
  adopt(release: string, process: ServiceProcess): void {
    this.#processes.set(release, process);
    this.#watches.set(
      release,
      watchProcess(process, (detail) => this.#ended(release, process, detail)),
    );
  }

  /** Does a step; what went wrong, or undefined. `signal` gives a check up. */
  async perform(step: Step, signal: AbortSignal): Promise<string | undefined> {
    try {
      switch (step.do) {
        case "start":
          failpoint("agent.before-start");
          await this.#start(step.release);
          failpoint("agent.after-start");
          return undefined;
        case "hand-over":
          failpoint("agent.before-drain");
          await this.#handOver(step.from, step.to);
          failpoint("agent.after-start");
          return undefined;
        case "check":
          return await this.#check(step.release, signal);
        case "point":
          failpoint("agent.before-switch");
          this.point(step.release);
          failpoint("agent.after-switch");
          return undefined;
        case "run-hook": {
          const { hook } = this.#activation(step.release);
          return await runHook({ ...this.#command(step.release, 0), argv: hook });
        }
        case "stop":
          failpoint("agent.before-drain");
          await this.stop(step.release);
          failpoint("agent.after-drain");
          return undefined;
        default:
          return step satisfies never;
      }
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Starts a process that has ended, on its old port; reports a failure as another end. */
  async restart(release: string): Promise<void> {
    try {
      await this.#start(release);
      if (this.#options.folder.pointed() === release) this.point(release);
    } catch (error) {
      this.#options.exited(release, (error as Error).message);
    }
  }

  /** Sets `current` and the port beside it; undefined removes both. */
  point(release: string | undefined): void {
    const port = release === undefined ? 0 : (this.#processes.get(release)?.port ?? 0);
    this.#options.folder.point(release, port);
  }

  /** Asks a running release for its health once. */
  async probe(release: string): Promise<boolean> {
    const process = this.#processes.get(release);
    if (this.#activation(release).exec.length > 0 && !(process && isAlive(process))) return false;
    return (await askHealth(this.#question(release))) === undefined;
  }

  /** Drains and ends a release's process, if there is one. */
  async stop(release: string): Promise<void> {
    const process = this.#processes.get(release);
    if (process === undefined) return;
    this.#forget(release);
    await endProcess(process, this.#drainMs(release));
    this.#options.changed();
  }

  /** Looks after no process any more; they run on. */
  detach(): void {
    for (const stop of this.#watches.values()) stop();
    this.#watches.clear();
    this.#processes.clear();
  }

  async #start(release: string): Promise<void> {
    const running = this.#processes.get(release);
    if (running !== undefined && isAlive(running)) return;
    const { exec, port: fixedPort } = this.#activation(release);
    if (exec.length === 0) return;
    const port = fixedPort || (await freePort());
    await this.#launch(release, { ...this.#command(release, port), argv: exec });
  }

  /** The new process ends the old one before it becomes itself, so no crash of ours comes between. */
  async #handOver(from: string, to: string): Promise<void> {
    const old = this.#processes.get(from);
    const running = this.#processes.get(to);
    if (running !== undefined && isAlive(running)) return;
    if (old === undefined || !isAlive(old)) {
      await this.#start(to);
      return;
    }
    const { exec, port } = this.#activation(to);
    const handOver: HandOver = { old, drainMs: this.#drainMs(from), argv: exec };
    const program = fileURLToPath(moduleUrl("./hand-over.ts", import.meta.url));
    const argv = [process.execPath, "--no-warnings", program, JSON.stringify(handOver)];
    await this.#launch(to, { ...this.#command(to, port), argv });
    this.#forget(from);
  }

  async #launch(release: string, command: ServiceCommand): Promise<void> {
    const process = await startProcess(command, (ended, detail) => {
      this.#ended(release, ended, detail);
    });
    if (!isAlive(process)) throw new Error(`${command.argv[0]} ended at once`);
    this.#processes.set(release, process);
    this.#options.changed();
  }

  async #check(release: string, signal: AbortSignal): Promise<string | undefined> {
    const { health, exec } = this.#activation(release);
    if (health !== undefined && (health.http !== "" || health.command.length > 0)) {
      return untilHealthy(this.#question(release), signal);
    }
    if (exec.length === 0) return undefined;
    await stayedUp(signal);
    const process = this.#processes.get(release);
    return process !== undefined && isAlive(process) ? undefined : "it did not stay up for 1 s";
  }

  #ended(release: string, process: ServiceProcess, detail: string): void {
    if (this.#processes.get(release)?.pid !== process.pid) return;
    this.#forget(release);
    this.#options.changed();
    this.#options.exited(release, `process ${process.pid} ${detail}`);
  }

  #forget(release: string): void {
    this.#processes.delete(release);
    this.#watches.get(release)?.();
    this.#watches.delete(release);
  }

  #question(release: string): HealthQuestion {
    const { health } = this.#activation(release);
    const port = this.#processes.get(release)?.port ?? 0;
    const { cwd, env } = this.#command(release, port);
    return {
      http: health?.http ?? "",
      command: health?.command ?? [],
      withinMs: health?.withinMs ?? 0,
      port,
      cwd,
      env,
    };
  }

  #drainMs(release: string): number {
    return this.#options.record(release)?.activation?.drainMs || DRAIN_MS_DEFAULT;
  }

  #activation(release: string): Activation {
    const activation = this.#options.record(release)?.activation;
    return activation ?? { exec: [], hook: [], health: undefined, port: 0, drainMs: 0 };
  }

  /** How any command of a release is run: in its folder, with a small environment of its own. */
  #command(release: string, port: number): Omit<ServiceCommand, "argv"> {
    const { service, agentId, region, folder } = this.#options;
    const env: Record<string, string> = {
      MILLRACE_SERVICE: service,
      MILLRACE_RELEASE: release,
      MILLRACE_SHA: this.#options.record(release)?.sha ?? "",
      MILLRACE_AGENT: agentId,
      MILLRACE_REGION: region,
    };
    for (const name of ENV_PASSED) {
      const value = process.env[name];
      if (value !== undefined) env[name] = value;
    }
    if (port !== 0) env["PORT"] = String(port);
    const cwd = folder.releasePath(release);
    return { cwd, env, logPath: folder.logPath(release), port };
  }
}
