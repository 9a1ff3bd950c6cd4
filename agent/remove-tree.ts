// Deletes trees of up to a million files without holding their names, and without holding the agent
// up: a batch of entries at a time, other work in between.
import { rmdirSync, unlinkSync } from "node:fs";
import { chmod, opendir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setImmediate as yieldTurn } from "node:timers/promises";

/** Entries deleted between two turns of the event loop: about 5 ms. */
const BATCH_ENTRIES = 256;

/** Deletes a tree; what is gone already is no error. Symlinks in it are deleted, never followed. */
export async function removeTree(path: string): Promise<void> {
  let folder: Awaited<ReturnType<typeof opendir>>;
  try {
    folder = await opendir(path, { bufferSize: BATCH_ENTRIES });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EACCES") {
      await chmod(path, 0o700);
      return removeTree(path);
    }
    if (code !== "ENOENT") await rm(path, { force: true });
    return;
  }
  let count = 0;
  for await (const entry of folder) {
    const below = join(path, entry.name);
    if (entry.isDirectory()) await removeTree(below);
    else await inFolder(path, () => unlinkSync(below));
    count += 1;
    if (count % BATCH_ENTRIES === 0) await yieldTurn();
  }
  await inFolder(dirname(path), () => rmdirSync(path));
}

/** A release may hold folders that cannot be written into. */
async function inFolder(folder: string, remove: () => void): Promise<void> {
  try {
    remove();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another deletion of the same tree was faster.
    if (code === "ENOENT") return;
    if (code !== "EACCES") throw error;
    await chmod(folder, 0o700);
    remove();
  }
}
