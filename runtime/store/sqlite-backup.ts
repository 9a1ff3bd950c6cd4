// A copy of the embedded store's file while it is in use, by SQLite's own backup through the connection that holds it:
// another program cannot even read the file. Writes go on meanwhile, and are in the copy.
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { backup, type DatabaseSync } from "node:sqlite";
import { StoreUnavailableError } from "./store-errors.ts";

/** Pages of 4 KiB copied in one go, on another thread: 1 MiB, for which writes wait about a millisecond. */
const PAGES_AT_ONCE = 256;
/** A copy that meets writes at the wrong moment fails, seen once in some forty; it is begun anew. */
const TRIES_MAX = 3;

/** Puts a copy in the place of `path`, when it is whole and on disk; StoreUnavailableError where that fails. */
export async function copyDatabase(database: DatabaseSync, path: string): Promise<void> {
  const file = resolve(path);
  for (let tries = 1; ; tries += 1) {
    try {
      await copyOnce(database, file);
      return;
    } catch (error) {
      rmSync(`${file}.new`, { force: true });
      if (tries < TRIES_MAX) continue;
      const reason = error instanceof Error ? error.message : String(error);
      throw new StoreUnavailableError(`no backup at ${file}: ${reason}`, { cause: error });
    }
  }
}

async function copyOnce(database: DatabaseSync, file: string): Promise<void> {
  const fresh = `${file}.new`;
  rmSync(fresh, { force: true });
  await backup(database, fresh, { rate: PAGES_AT_ONCE });
  sync(fresh);
  renameSync(fresh, file);
  sync(dirname(file));
}

function sync(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
