// The file of the embedded store: opens or creates it, takes it for this process alone, and owns its
// settings and schema. The lock is SQLite's own (the kernel drops it with the process); the pid beside
// the file only serves the error message. Nothing else in this process may open and close the file:
// POSIX would then drop the lock.
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqliteCode } from "./group-commit.ts";
import { StoreUnavailableError } from "./store-errors.ts";

const APPLICATION_ID = 0x4d494c4c;
const SCHEMA_VERSION = 1;
const SQLITE_BUSY = 5;
const SQLITE_NOTADB = 26;

/** The revision at which a version that is current ends: none is as high. */
export const LIVE = Number.MAX_SAFE_INTEGER;

// One row is one version of a key, current from mod_revision until before ended. A deletion is a row
// with version 0 that ends where it starts, so that only watches see it.
const SCHEMA = `
CREATE TABLE versions (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  mod_revision INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  create_revision INTEGER NOT NULL,
  version INTEGER NOT NULL,
  lease TEXT,
  value BLOB
) STRICT;
CREATE UNIQUE INDEX live_keys ON versions (key) WHERE ended = ${LIVE};
CREATE INDEX lease_keys ON versions (lease) WHERE ended = ${LIVE} AND lease IS NOT NULL;
CREATE INDEX past_versions ON versions (ended) WHERE ended < ${LIVE};
CREATE INDEX events ON versions (mod_revision);
CREATE TABLE leases (id TEXT PRIMARY KEY, ttl_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE compaction (revision INTEGER NOT NULL) STRICT;
INSERT INTO compaction VALUES (0);
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** An open database and the way to let it go. */
export interface SqliteFile {
  readonly database: DatabaseSync;
  close(): void;
}

/** Opens or creates the store at `path`; StoreUnavailableError when that is not possible. */
export function openSqliteFile(path: string): SqliteFile {
  const file = resolve(path);
  const holderFile = `${file}.holder`;
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true });
    database = new DatabaseSync(file);
    prepareFile(database, file);
    syncDirectory(dirname(file));
    writeFileSync(holderFile, `${process.pid}\n`);
  } catch (error) {
    database?.close();
    throw unavailable(error, file, holderFile);
  }
  const opened = database;
  return {
    database: opened,
    close: () => {
      rmSync(holderFile, { force: true });
      opened.close();
    },
  };
}

function prepareFile(database: DatabaseSync, file: string): void {
  // Exclusive before the first access: then WAL needs no shared memory, and nobody else gets in.
  database.exec("PRAGMA locking_mode = EXCLUSIVE");
  database.exec("PRAGMA journal_mode = WAL");
  database.exec("PRAGMA synchronous = FULL");
  database.exec("BEGIN EXCLUSIVE");
  const applicationId = pragma(database, "application_id");
  const schemaVersion = pragma(database, "user_version");
  const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.n;
  if (tables === 0) {
    database.exec(SCHEMA);
  } else if (applicationId !== APPLICATION_ID) {
    throw new StoreUnavailableError(`${file} is a database of another program, not a store`);
  } else if (schemaVersion !== SCHEMA_VERSION) {
    throw new StoreUnavailableError(
      `store ${file} has format ${schemaVersion}, this program knows ${SCHEMA_VERSION}`,
    );
  }
  database.exec("COMMIT");
}

function pragma(database: DatabaseSync, name: string): unknown {
  return database.prepare(`PRAGMA ${name}`).get()?.[name];
}

function unavailable(error: unknown, file: string, holderFile: string): StoreUnavailableError {
  if (error instanceof StoreUnavailableError) return error;
  const code = sqliteCode(error);
  if (code === SQLITE_BUSY) {
    return new StoreUnavailableError(
      `store ${file} is in use by ${readHolder(holderFile)}: stop it, or choose another file`,
      { cause: error },
    );
  }
  if (code === SQLITE_NOTADB) {
    return new StoreUnavailableError(`${file} is not a SQLite database`, { cause: error });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new StoreUnavailableError(`cannot open store ${file}: ${reason}`, { cause: error });
}

function readHolder(holderFile: string): string {
  try {
    const pid = Number.parseInt(readFileSync(holderFile, "utf8"), 10);
    return Number.isInteger(pid) ? `process ${pid}` : "another process";
  } catch {
    return "another process";
  }
}

function syncDirectory(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
