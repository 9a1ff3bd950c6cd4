// A whole system on this machine: every program a process of its own, started in order, kept running, and
// ended together. What is below its root survives any end of it.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pause } from "../../runtime/program/back-off.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import type { Ready } from "../../runtime/program/lifecycle.ts";
import { isSameProcess } from "../../runtime/program/process-start.ts";
import { lockRoot, RootLockedError } from "../../runtime/program/root-lock.ts";
import { Child } from "./child.ts";
import { programEnvironment } from "./program-environment.ts";
import {
  checkSystemOptions,
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
  /** Process id of a program by its name; undefined where it does not run now. */
  pid(name: string): number | undefined;
  /** Ends one program at once, and does not start it again. */
  killOne(name: string): void;
  /** Ends every program. */
  stop(): Promise<void>;
  /** Ends every program at once; services that agents run live on. */
  kill(): void;
}

/**
 * Starts a system. Rejects, with everything ended again: with CommandError where a program does not get
 * ready, with the signal's reason where that is aborted before the system is up.
 */
export async function startSystem(
  options: SystemOptions,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<System> {
  checkSystemOptions(options);
  const unlock = lock(options.root);
  const starting = new SystemStart(options, say);
  const giveUp = (): void => void starting.stop();
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    const address = await starting.run(signal);
    const { children, metrics } = starting;
    const stop = async (): Promise<void> => {
      await starting.stop();
      unlock();
    };
    const find = (name: string): Child | undefined => children.find((child) => child.name === name);
    return {
      ...{ address, processes: children.length, metrics, stop },
      pid: (name) => find(name)?.record?.pid,
      killOne: (name) => find(name)?.kill(),
      kill: () => starting.kill(),
    };
  } catch (error) {
    await starting.stop();
    unlock();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

/** Ends at once what the system below `root` consists of; for when its own process cannot go on. */
export function killSystem(root: string): void {
  sendToChildren(readUpState(root), "SIGKILL");
}

function lock(root: string): () => void {
  try {
    return lockRoot(root);
  } catch (error) {
    if (error instanceof RootLockedError) throw new CommandError(EXIT.error, error.message);
    throw error;
  }
}

class SystemStart {
  readonly children: Child[] = [];
  readonly metrics = new Map<string, number>();
  readonly #options: SystemOptions;
  readonly #say: (text: string) => void;
  readonly #addresses: Record<string, Record<string, string>>;

  constructor(options: SystemOptions, say: (text: string) => void) {
    this.#options = options;
    this.#say = say;
    this.#addresses = structuredClone(readUpState(options.root).addresses) as Record<
      string,
      Record<string, string>
    >;
  }

  /** Starts everything in order; resolves with the control plane's address. */
  async run(signal: AbortSignal): Promise<string> {
    const { root } = this.#options;
    for (const folder of ["controlplane", "origin", "logs"]) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    await endLeftChildren(readUpState(root));
    await this.#start([planControlPlane(this.#options)], signal);
    const address = this.#addresses["controlplane"]?.["--listen"];
    if (address === undefined) throw new Error("the control plane did not say where it listens");
    await this.#start(planServers(this.#options, address), signal);
    await this.#start(planAgents(this.#options, address), signal);
    return address;
  }

  async stop(): Promise<void> {
    // Agents first: they tell their relays. The control plane last: it hears of all.
    const isAgent = ({ name }: Child): boolean => name.startsWith("agent-");
    const isControlPlane = ({ name }: Child): boolean => name === "controlplane";
    const rank = (child: Child): number => (isAgent(child) ? 0 : isControlPlane(child) ? 2 : 1);
    for (const now of [0, 1, 2]) {
      const children = this.children.filter((child) => rank(child) === now);
      await Promise.all(children.map((child) => child.stop()));
    }
    this.#save();
  }

  kill(): void {
    for (const child of this.children) child.kill();
  }

  async #start(planned: readonly PlannedChild[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
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
      env: programEnvironment(plan.program),
      logPath: join(this.#options.root, "logs", `${plan.name}.log`),
      onReady: (ready) => this.#onReady(plan, ready),
      onFailed: () => this.#forget(plan),
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

  /** Somebody else may have a kept port by now. The control plane's is what all others were told. */
  #forget(plan: PlannedChild): boolean {
    const isKnown = plan.program === "controlplane" && this.children.length > 1;
    if (isKnown || this.#addresses[plan.name] === undefined) return false;
    delete this.#addresses[plan.name];
    return plan.listens.length > 0;
  }

  #save(): void {
    const children = this.children.flatMap((child) => child.record ?? []);
    try {
      writeUpState(this.#options.root, { children, addresses: this.#addresses });
    } catch (error) {
      // A full disk, or a folder that is gone: the programs run on, and are ended like others.
      this.#say(`what runs cannot be written down: ${(error as Error).message}`);
    }
  }
}

/** Ends processes that a killed `up` left running: two agents on one folder would fight. */
async function endLeftChildren(state: UpState): Promise<void> {
  // Not SIGTERM: agents would stop the services, which are to live through a restart of Millrace.
  sendToChildren(state, "SIGKILL");
  const isLeft = (): boolean => state.children.some((c) => isSameProcess(c.pid, c.startTime));
  const until = performance.now() + LEFT_MS_MAX;
  while (isLeft() && performance.now() < until) await pause(20);
}

function sendToChildren(state: UpState, signal: NodeJS.Signals): void {
  for (const { pid, startTime } of state.children) {
    if (isSameProcess(pid, startTime)) process.kill(pid, signal);
  }
}
