// One program of the system as a child process: started, awaited until it says it is ready, started
// again when it dies, and ended with the system.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { createInterface } from "node:readline";
import { BackOff, pause } from "../../runtime/program/back-off.ts";
import type { Ready } from "../../runtime/program/lifecycle.ts";
import { processStartTime } from "../../runtime/program/process-start.ts";
import { type Program, programPath } from "./program-path.ts";
import type { ChildRecord } from "./up-state.ts";

/** A program that is not ready by then has failed. */
const READY_MS_MAX = 30_000;

/** Between SIGTERM and SIGKILL. */
const STOP_MS_MAX = 8_000;

/** One that lived so long had started well: the next restart waits little again. */
const STEADY_MS = 10_000;

export interface ChildOptions {
  readonly name: string;
  readonly program: Program;
  /** Arguments, made anew at each start: ports are kept. */
  readonly args: () => readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** File that takes what it logs. */
  readonly logPath: string;
  readonly onReady: (ready: Ready) => void;
  readonly onChange: () => void;
  readonly say: (text: string) => void;
}

/** A child that is kept running. */
export class Child {
  readonly #options: ChildOptions;
  readonly #stopping = new AbortController();
  readonly #backOff = new BackOff(200, 5_000);
  #process: ChildProcess | undefined;
  #record: ChildRecord | undefined;
  #keeping: Promise<void> = Promise.resolve();

  constructor(options: ChildOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  /** The process as it runs now; undefined between a death and the next start. */
  get record(): ChildRecord | undefined {
    return this.#record;
  }

  /** Starts it and resolves when it is ready; from then on it is kept running. */
  async start(): Promise<void> {
    const exited = await this.#spawn();
    this.#keeping = this.#keep(exited);
  }

  /** Ends it: politely, then for certain. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const child = this.#process;
    child?.kill("SIGTERM");
    const killing = setTimeout(() => child?.kill("SIGKILL"), STOP_MS_MAX);
    await this.#keeping;
    clearTimeout(killing);
  }

  /** Starts the process; resolves when it is ready, with the promise of its end. */
  async #spawn(): Promise<{ readonly ended: Promise<string> }> {
    const { name, program, args, env, logPath } = this.#options;
    const logFile = openSync(logPath, "a");
    const child = spawn(process.execPath, [programPath(program), ...args()], {
      env,
      stdio: ["ignore", "pipe", logFile],
    });
    closeSync(logFile);
    this.#process = child;
    const ended = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    const pid = child.pid;
    if (pid !== undefined) {
      this.#record = { name, pid, startTime: processStartTime(pid) ?? 0 };
      this.#options.onChange();
    }
    const problem = await Promise.race([
      this.#ready(child),
      ended.then((end) => `it ended before it was ready (${end})`),
      pause(READY_MS_MAX, this.#stopping.signal).then(() => "it did not get ready in time"),
    ]);
    if (problem === undefined) return { ended };
    child.kill("SIGKILL");
    await ended;
    this.#record = undefined;
    throw new Error(`${name} failed to start: ${problem}; see ${logPath}`);
  }

  async #ready(child: ChildProcess): Promise<undefined> {
    if (child.stdout === null) throw new Error("stdout is a pipe");
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      const ready = JSON.parse(line) as Ready & { readonly ready?: boolean };
      if (ready.ready !== true) continue;
      this.#options.onReady(ready);
      lines.close();
      child.stdout.resume();
      return undefined;
    }
    return new Promise(() => {});
  }

  async #keep(first: { readonly ended: Promise<string> }): Promise<void> {
    let { ended } = first;
    for (;;) {
      const startedAt = performance.now();
      const end = await ended;
      this.#record = undefined;
      if (this.#stopping.signal.aborted) return;
      this.#options.say(`${this.#options.name} ended (${end}), starting it again`);
      if (performance.now() - startedAt > STEADY_MS) this.#backOff.reset();
      const next = await this.#restart();
      if (next === undefined) return;
      ended = next.ended;
    }
  }

  async #restart(): Promise<{ readonly ended: Promise<string> } | undefined> {
    while (!this.#stopping.signal.aborted) {
      await this.#backOff.wait(this.#stopping.signal);
      if (this.#stopping.signal.aborted) return undefined;
      try {
        return await this.#spawn();
      } catch (error) {
        if (!this.#stopping.signal.aborted) this.#options.say((error as Error).message);
      }
    }
    return undefined;
  }
}
