// Bounds a folder of caches: each entry's time of modification is when it was last used, and those used
// longest ago go first.
import { readdirSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { removeTree } from "./remove-tree.ts";

/** Notes that the cache at `path` is in use now. */
export function touch(path: string): void {
  const now = new Date();
  utimesSync(path, now, now);
}

/** Deletes all but the `kept` entries of `folder` that were used last. */
export async function pruneCache(folder: string, kept: number): Promise<void> {
  const paths = readdirSync(folder).map((name) => join(folder, name));
  const used = new Map(paths.map((path) => [path, statSync(path).mtimeMs]));
  const byUse = paths.toSorted((a, b) => (used.get(b) as number) - (used.get(a) as number));
  for (const path of byUse.slice(kept)) await removeTree(path);
}
