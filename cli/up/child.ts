// One program of the system as a child process: started, awaited until it says it is ready, started
// again when it dies, and ended with the system.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { createInterface } from "node:readline";
import { BackOff, pause } from "../../runtime/program/back-off.ts";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import type { Ready } from "../../runtime/program/lifecycle.ts";
import { processStartTime } from "../../runtime/program/process-start.ts";
import { lastWords } from "./last-words.ts";
import { nodeFlags, type Program, programPath } from "./program-path.ts";
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
  /** A start failed; true where the next one has other arguments, so that it is worth a try. */
  readonly onFailed: () => boolean;
  readonly onChange: () => void;
  readonly say: (text: string) => void;
}

/** A process that got ready; `ended` resolves with how it ended. */
interface Running {
  readonly ended: Promise<string>;
}

/** A child that is kept running. */
export class Child {
  readonly #options: ChildOptions;
  readonly #stopping = new AbortController();
  readonly #backOff = new BackOff(200, 5_000);
  #process: ChildProcess | undefined;
  #record: ChildRecord | undefined;
  #ended: Promise<unknown> = Promise.resolve();
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

  /** Starts it and resolves when it is ready; from then on it is kept running. Throws CommandError. */
  async start(): Promise<void> {
    let running: Running;
    try {
      running = await this.#spawn();
    } catch (error) {
      if (this.#stopping.signal.aborted || !this.#options.onFailed()) throw error;
      running = await this.#spawn();
    }
    this.#keeping = this.#keep(running);
  }

  /** Ends it, also while it starts: politely, then for certain. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const child = this.#process;
    child?.kill("SIGTERM");
    const killing = setTimeout(() => child?.kill("SIGKILL"), STOP_MS_MAX);
    await this.#ended;
    await this.#keeping;
    clearTimeout(killing);
  }

  /** Ends it at once. */
  kill(): void {
    this.#stopping.abort();
    this.#process?.kill("SIGKILL");
  }

  async #spawn(): Promise<Running> {
    const { name, program, args, env, logPath } = this.#options;
    this.#stopping.signal.throwIfAborted();
    const logFile = openSync(logPath, "a");
    // A group of its own: Ctrl-C in a terminal would reach all programs at once and in no order.
    const child = spawn(
      process.execPath,
      [...nodeFlags(program), programPath(program), ...args()],
      {
        env,
        stdio: ["ignore", "pipe", logFile],
        detached: true,
      },
    );
    closeSync(logFile);
    this.#process = child;
    const ended = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    this.#ended = ended;
    const pid = child.pid;
    if (pid !== undefined) this.#note({ name, pid, startTime: processStartTime(pid) ?? 0 });
    const problem = await Promise.race([
      this.#ready(child),
      ended.then((end) => lastWords(logPath) ?? `it ended before it was ready (${end})`),
      pause(READY_MS_MAX, this.#stopping.signal).then(() => "it did not get ready in time"),
    ]);
    if (problem === undefined) return { ended };
    // One that is being stopped has its own time to end.
    if (!this.#stopping.signal.aborted) child.kill("SIGKILL");
    await ended;
    this.#note(undefined);
    throw new CommandError(EXIT.error, `${name} failed to start: ${problem}\nits log: ${logPath}`);
  }

  #note(record: ChildRecord | undefined): void {
    this.#record = record;
    this.#options.onChange();
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

  async #keep(first: Running): Promise<void> {
    let running: Running | undefined = first;
    while (running !== undefined) {
      const startedAt = performance.now();
      const end = await running.ended;
      this.#note(undefined);
      if (this.#stopping.signal.aborted) return;
      this.#options.say(`${this.#options.name} ended (${end}), starting it again`);
      if (performance.now() - startedAt > STEADY_MS) this.#backOff.reset();
      running = await this.#restart();
    }
  }

  async #restart(): Promise<Running | undefined> {
    while (!this.#stopping.signal.aborted) {
      await this.#backOff.wait(this.#stopping.signal);
      if (this.#stopping.signal.aborted) return undefined;
      try {
        return await this.#spawn();
      } catch (error) {
        if (this.#stopping.signal.aborted) return undefined;
        this.#options.onFailed();
        this.#options.say((error as Error).message);
      }
    }
    return undefined;
  }
}
