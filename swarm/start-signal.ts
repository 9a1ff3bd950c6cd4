// When to begin and when to end: a file appears, by which somebody who starts many peers has them all
// begin at once; a time is over, or a signal came.
import { existsSync, watch } from "node:fs";
import { dirname } from "node:path";

/** Resolves when the path exists, or at the signal. Throws where its folder does not exist. */
export function fileAppeared(path: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const watcher = watch(dirname(path), { signal });
    const look = () => {
      if (!existsSync(path)) return;
      watcher.close();
      resolve();
    };
    watcher.on("change", look);
    watcher.on("error", reject);
    watcher.on("close", () => resolve());
    look();
  });
}

/** Aborted after so long, Infinity: never, or with the signal. */
export function endOf(ms: number, signal: AbortSignal): AbortSignal {
  return Number.isFinite(ms) ? AbortSignal.any([signal, AbortSignal.timeout(ms)]) : signal;
}
