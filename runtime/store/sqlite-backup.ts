// A copy of the embedded store's file while it is in use, by SQLite's own backup through the connection that holds it:
// another program cannot even read the file. Writes go on meanwhile, and are in the copy.
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { backup, type DatabaseSync } from "node:sqlite";
import { StoreUnavailableError } from "./store-errors.ts";

/** Pages of 4 KiB copied in one go, on another thread: 1 MiB, for which writes wait about a millisecond. */
const PAGES_AT_ONCE = 256;

/**
 * Puts a copy in the place of `path`, when it is whole and on disk; StoreUnavailableError where that fails.
 * `hold` keeps writes back until what it returns is called: SQLite begins no copy while its own connection is in a
 * transaction, and node:sqlite ends a copy that did not begin ("not an error"). Later steps wait for writes by themselves.
 */
export async function copyDatabase(
  database: DatabaseSync,
  path: string,
  hold: () => () => void,
): Promise<void> {
  const file = resolve(path);
  const fresh = `${file}.new`;
  const release = hold();
  try {
    rmSync(fresh, { force: true });
    await backup(database, fresh, { rate: PAGES_AT_ONCE, progress: release });
    sync(fresh);
    renameSync(fresh, file);
    sync(dirname(file));
  } catch (error) {
    rmSync(fresh, { force: true });
    const reason = error instanceof Error ? error.message : String(error);
    throw new StoreUnavailableError(`no backup at ${file}: ${reason}`, { cause: error });
  } finally {
    release();
  }
}

function sync(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
