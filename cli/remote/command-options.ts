// Options that commands share, read in one place.
import type { Command } from "commander";
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { wholeNumber } from "../../runtime/program/number-flags.ts";
import { parseDuration } from "../../runtime/recipe/duration.ts";

export interface RemoteFlags {
  readonly addr?: string;
  readonly json: boolean;
}

export interface WaitFlags extends RemoteFlags {
  readonly timeout?: string;
  readonly wait: boolean;
}

/** Adds the flags of a command that asks the control plane. */
export function remoteCommand(command: Command): Command {
  return command
    .option("--addr <host:port,...>", "the control plane, any replica (or MILLRACE_ADDR)")
    .option("--json", "print one JSON object, last on stdout", false);
}

/** Adds the flags of a command that lists, newest first. */
export function listCommand(command: Command, limitDefault: number): Command {
  return remoteCommand(command).option(
    "--limit <n>",
    "at most so many",
    wholeNumber(1),
    limitDefault,
  );
}

/** Gathers the values of an option that is given several times. */
export function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

/** Adds the flags of a command that waits. */
export function waitingCommand(command: Command): Command {
  return remoteCommand(command)
    .option("--timeout <duration>", "stop waiting after this time, exit code 124; the work goes on")
    .option("--no-wait", "do not wait for the end");
}

/** Milliseconds of `--timeout`; undefined where there is none. Throws CommandError on a wrong one. */
export function timeoutMs(flags: WaitFlags): number | undefined {
  if (flags.timeout === undefined) return undefined;
  const ms = parseDuration(flags.timeout);
  if (ms !== undefined) return ms;
  throw new CommandError(EXIT.usage, `--timeout ${flags.timeout}: expected "30s" or "15m"`);
}

/** A signal that ends waiting: Ctrl-C with 130, `--timeout` with 124; both say how to go on. */
export function waitSignal(flags: WaitFlags, howToFollow: () => string): AbortSignal {
  const stop = new AbortController();
  const end = (code: typeof EXIT.waitTimedOut | typeof EXIT.interrupted, what: string): void => {
    stop.abort(new CommandError(code, `${what}; the work goes on. ${howToFollow()}`));
  };
  process.once("SIGINT", () => end(EXIT.interrupted, "stopped waiting"));
  const ms = timeoutMs(flags);
  if (ms !== undefined) {
    setTimeout(() => end(EXIT.waitTimedOut, `not done after ${flags.timeout}`), ms).unref();
  }
  return stop.signal;
}
