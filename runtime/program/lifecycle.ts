// How a program says that it is ready, and how it ends: once politely, within a time, at the second signal at once.
import { flushCompileCache } from "node:module";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Log } from "../log.ts";
import { parseDuration } from "../recipe/duration.ts";

/** What is still under way when the time to drain is over may take so long to be given up. */
const GIVE_UP_MS_MAX = 2_000;

/** What a program prints on stdout, in one line of JSON, when it is ready. */
export interface Ready {
  readonly program: string;
  readonly id?: string;
  /** Where its gRPC server listens. */
  readonly address?: string;
  /** Where its peer listens. */
  readonly swarm?: string;
  /** Port of its metrics. */
  readonly metrics?: number | undefined;
}

/** The time that a program has to end what is under way. */
export interface Drain {
  /** Milliseconds that are left of it. */
  readonly leftMs: number;
  /** Aborted when nothing is left. */
  readonly over: AbortSignal;
}

/** Tells whoever started this program that it is ready. */
export function printReady(ready: Ready): void {
  // Node keeps compiled modules at a process's end; the programs started next want them now.
  flushCompileCache();
  process.stdout.write(`${JSON.stringify({ ready: true, ...ready })}\n`);
}

/** Adds `--drain-timeout`, in milliseconds once it is read. */
export function drainTimeout(command: Command, defaultMs: number): Command {
  const option = new Option("--drain-timeout <duration>", "time to end in, after SIGTERM");
  return command.addOption(option.argParser(duration).default(defaultMs, `${defaultMs / 1_000}s`));
}

/**
 * Runs `stop` at SIGTERM or SIGINT, then exits with 0; a second signal exits at once with 130. What has not
 * ended soon after the time to drain is left as it is, and goes on at the next start.
 */
export function stopOnSignal(
  log: Log,
  drainMs: number,
  stop: (drain: Drain) => Promise<void>,
): void {
  let isStopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(130);
    isStopping = true;
    log.info({ signal, drainMs }, "stopping");
    setTimeout(() => {
      log.warn({ drainMs }, "not all had ended in time; it goes on at the next start");
      process.exit(0);
    }, drainMs + GIVE_UP_MS_MAX).unref();
    stop(startDrain(drainMs)).then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, "stopping failed");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

/** A drain that begins now. */
export function startDrain(drainMs: number): Drain {
  const endsAt = performance.now() + drainMs;
  return {
    over: AbortSignal.timeout(drainMs),
    get leftMs() {
      return Math.max(0, endsAt - performance.now());
    },
  };
}

/** Resolves when the work has ended, well or not, or the signal is aborted. */
export async function endedOr(over: AbortSignal, work: Promise<unknown>): Promise<void> {
  if (over.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      over.removeEventListener("abort", done);
      resolve();
    };
    over.addEventListener("abort", done);
    work.then(done, done);
  });
}

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new InvalidArgumentError(`"${text}": expected a duration as in 500ms, 30s or 5m`);
}
