// How a command that runs a system hears that it should end it.
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A signal aborted at the first SIGINT, SIGTERM or SIGHUP, its reason a CommandError with 130. */
export function interruption(): AbortSignal {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(new CommandError(EXIT.interrupted, "interrupted"));
  // They stay: a second one must not end this process while it ends others.
  for (const name of SIGNALS) process.on(name, onSignal);
  // The reader of a pipe, or the terminal, may be gone: no reason to die and leave programs behind.
  process.stdout.on("error", () => {});
  return stop.signal;
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((done) => signal.addEventListener("abort", () => done(), { once: true }));
}
