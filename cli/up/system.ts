// A whole system on this machine: every program a process of its own, started in order, kept running, and
// ended together. What is below its root survives any end of it.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pause } from "../../runtime/program/back-off.ts";
import type { Ready } from "../../runtime/program/lifecycle.ts";
import { isSameProcess } from "../../runtime/program/process-start.ts";
import { lockRoot } from "../../runtime/program/root-lock.ts";
import { Child } from "./child.ts";
import {
  type PlannedChild,
  planAgents,
  planControlPlane,
  planServers,
  type SystemOptions,
} from "./system-plan.ts";
import { readUpState, type UpState, writeUpState } from "./up-state.ts";

/** How long a process that an earlier `up` left may take to end. */
const LEFT_MS_MAX = 5_000;

/** A running system. */
export interface System {
  /** Where the control plane listens. */
  readonly address: string;
  /** Number of its processes. */
  readonly processes: number;
  /** Ports of metrics by program's name. */
  readonly metrics: ReadonlyMap<string, number>;
  /** Ends every program. */
  stop(): Promise<void>;
}

/** Starts a system; rejects, with everything ended again, where a program does not get ready. */
export async function startSystem(
  options: SystemOptions,
  say: (text: string) => void,
): Promise<System> {
  const unlock = lockRoot(options.root);
  const starting = new SystemStart(options, say);
  try {
    const address = await starting.run();
    const { children, metrics } = starting;
    const stop = async (): Promise<void> => {
      await starting.stop();
      unlock();
    };
    return { address, processes: children.length, metrics, stop };
  } catch (error) {
    await starting.stop();
    unlock();
    throw error;
  }
}

class SystemStart {
  readonly children: Child[] = [];
  readonly metrics = new Map<string, number>();
  readonly #options: SystemOptions;
  readonly #say: (text: string) => void;
  readonly #env: NodeJS.ProcessEnv;
  readonly #addresses: Record<string, Record<string, string>>;

  constructor(options: SystemOptions, say: (text: string) => void) {
    this.#options = options;
    this.#say = say;
    this.#addresses = structuredClone(readUpState(options.root).addresses) as Record<
      string,
      Record<string, string>
    >;
    this.#env = {
      ...process.env,
      // Each program is compiled once, not once a process: half the start-up time and 30 MB less each.
      NODE_COMPILE_CACHE: join(options.root, "compile-cache"),
      NODE_NO_WARNINGS: "1",
    };
  }

  async run(): Promise<string> {
    const { root } = this.#options;
    for (const folder of ["controlplane", "origin", "logs", "compile-cache"]) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    await endLeftChildren(readUpState(root));
    await this.#start([planControlPlane(this.#options)]);
    const address = this.#addresses["controlplane"]?.["--listen"];
    if (address === undefined) throw new Error("the control plane did not say where it listens");
    await this.#start(planServers(this.#options, address));
    await this.#start(planAgents(this.#options, address));
    return address;
  }

  async stop(): Promise<void> {
    // Agents first: they tell their relays; the control plane last: it hears of all.
    const order = [...this.children].reverse();
    const programs = Map.groupBy(order, (child) => child.name.split("-")[0]);
    for (const children of programs.values()) {
      await Promise.all(children.map((child) => child.stop()));
    }
    this.#save();
  }

  async #start(planned: readonly PlannedChild[]): Promise<void> {
    const started = planned.map((plan) => {
      const child = this.#child(plan);
      this.children.push(child);
      return child.start();
    });
    await Promise.all(started);
  }

  #child(plan: PlannedChild): Child {
    return new Child({
      name: plan.name,
      program: plan.program,
      args: () => this.#args(plan),
      env: this.#env,
      logPath: join(this.#options.root, "logs", `${plan.name}.log`),
      onReady: (ready) => this.#onReady(plan, ready),
      onChange: () => this.#save(),
      say: this.#say,
    });
  }

  #args(plan: PlannedChild): string[] {
    const kept = this.#addresses[plan.name] ?? {};
    const flags = Object.entries(plan.flags).flatMap(([flag, value]) => {
      const address = plan.listens.includes(flag) ? (kept[flag] ?? value) : value;
      return [flag, address];
    });
    return [...flags, ...plan.extra];
  }

  #onReady(plan: PlannedChild, ready: Ready): void {
    this.#addresses[plan.name] = {
      ...(ready.address !== undefined && { "--listen": ready.address }),
      ...(ready.swarm !== undefined &&
        plan.program === "relay" && {
          "--swarm-listen": ready.swarm,
        }),
    };
    if (ready.metrics !== undefined) this.metrics.set(plan.name, ready.metrics);
    this.#save();
  }

  #save(): void {
    const children = this.children.flatMap((child) => child.record ?? []);
    writeUpState(this.#options.root, { children, addresses: this.#addresses });
  }
}

/** Ends processes that a killed `up` left running: two agents on one folder would fight. */
async function endLeftChildren(state: UpState): Promise<void> {
  const isLeft = (): boolean => state.children.some((c) => isSameProcess(c.pid, c.startTime));
  const send = (signal: NodeJS.Signals): void => {
    for (const { pid, startTime } of state.children) {
      if (isSameProcess(pid, startTime)) process.kill(pid, signal);
    }
  };
  // Not SIGTERM: agents would stop the services, which are to live through a restart of Millrace.
  send("SIGKILL");
  const until = performance.now() + LEFT_MS_MAX;
  while (isLeft() && performance.now() < until) await pause(20);
}
