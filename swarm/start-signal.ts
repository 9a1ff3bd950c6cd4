// Waits for a file to appear: how somebody who starts many peers has them all begin at once.
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
