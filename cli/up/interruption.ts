// How a command that runs a system hears that it should end it.
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** How often it is looked whether the parent is still there: no event tells of it. One look takes about 1 us. */
const PARENT_LOOK_MS = 500;

/**
 * A signal aborted at the first SIGINT, SIGTERM or SIGHUP, or when the npm that started this process is
 * gone; its reason is a CommandError with 130.
 */
export function interruption(): AbortSignal {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(new CommandError(EXIT.interrupted, "interrupted"));
  // They stay: a second one must not end this process while it ends others.
  for (const name of SIGNALS) process.on(name, onSignal);
  onParentGone(onSignal);
  // The reader of a pipe, or the terminal, may be gone: no reason to die and leave programs behind.
  process.stdout.on("error", () => {});
  return stop.signal;
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((done) => signal.addEventListener("abort", () => done(), { once: true }));
}

/**
 * npm and npx run a command below a shell and pass signals on to that shell alone, which ends and leaves
 * the command to another parent. Who is started otherwise may be left running on purpose, as by nohup.
 */
function onParentGone(tell: () => void): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    tell();
  }, PARENT_LOOK_MS);
  timer.unref();
}
