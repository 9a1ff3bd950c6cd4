// Deletes what a build left, whatever it is: a million files, or folders that it made read-only. A
// process of its own does it, because Node's `rm` holds the names of a whole tree.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Deletes a tree; one that is not there is no error. Symlinks in it are deleted, never followed. */
export async function removeTree(path: string): Promise<void> {
  try {
    await run("rm", ["-rf", "--", path]);
  } catch {
    await run("chmod", ["-R", "u+rwX", "--", path]);
    await run("rm", ["-rf", "--", path]);
  }
}
