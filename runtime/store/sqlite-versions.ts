// The rows of the embedded store: every SQL statement about versions of keys is here, prepared once.
// It keeps no transactions and no limits; callers run its writes inside a transaction and give it the
// revision to write at.
import { strict as assert } from "node:assert";
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { LIVE } from "./sqlite-file.ts";
import type { Entry, LeaseId, RangeOptions, RangePage, WatchEvent } from "./store.ts";
import { RANGE_BYTES_MAX, RANGE_ENTRIES_MAX } from "./store-limits.ts";
import type { HistoryPage } from "./watch-hub.ts";

/** Above every text: SQLite orders all blobs after all texts. */
const NO_BOUND = new Uint8Array(0);
const EMPTY = new Uint8Array(0);
const COLUMNS = "key, value, create_revision, mod_revision, version, lease";
const KEYS = "key >= max(:prefix, :low) AND key < min(:upper, :high)";

interface Row {
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly create_revision: number;
  readonly mod_revision: number;
  readonly version: number;
  readonly lease: string | null;
}

/** The versions table of an open database. */
export class SqliteVersions {
  /** Versions that have ended, deletions included, and their values' bytes; loaded by history. */
  readonly past = { count: 0, bytes: 0 };
  readonly #get: StatementSync;
  readonly #endLive: StatementSync;
  readonly #insert: StatementSync;
  readonly #events: StatementSync;
  readonly #leaseKeys: StatementSync;
  readonly #now: { readonly up: StatementSync; readonly down: StatementSync };
  readonly #past: { readonly up: StatementSync; readonly down: StatementSync };

  constructor(database: DatabaseSync) {
    const live = `SELECT ${COLUMNS} FROM versions WHERE ended = ${LIVE}`;
    const now = `${live} AND ${KEYS} ORDER BY key`;
    const past = `${live} AND mod_revision <= :at AND ${KEYS}
      UNION ALL SELECT ${COLUMNS} FROM versions
      WHERE ended > :at AND ended < ${LIVE} AND mod_revision <= :at AND ${KEYS} ORDER BY key`;
    this.#get = database.prepare(`${live} AND key = ?`);
    this.#endLive = database.prepare(
      `UPDATE versions SET ended = ? WHERE key = ? AND ended = ${LIVE}`,
    );
    this.#insert = database.prepare(
      `INSERT INTO versions (ended, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#events = database.prepare(
      `SELECT ${COLUMNS} FROM versions WHERE mod_revision >= ? AND key >= ? AND key < ?
       ORDER BY mod_revision, id`,
    );
    this.#leaseKeys = database.prepare(
      `SELECT key FROM versions WHERE ended = ${LIVE} AND lease = ? ORDER BY key`,
    );
    this.#now = { up: database.prepare(now), down: database.prepare(`${now} DESC`) };
    this.#past = { up: database.prepare(past), down: database.prepare(`${past} DESC`) };
  }

  /** The current entry of a key. */
  get(key: string): Entry | undefined {
    const row = this.#get.get(key) as Row | undefined;
    return row && toEntry(row);
  }

  /** A page of the range, now or at `options.revision`; `revision` is the store's. */
  range(options: RangeOptions, revision: number): RangePage {
    const at = options.revision ?? revision;
    const statements = at < revision ? this.#past : this.#now;
    const statement = options.descending ? statements.down : statements.up;
    const entriesMax = options.limit ?? RANGE_ENTRIES_MAX;
    const entries: Entry[] = [];
    let bytes = 0;
    const parameters = { ...keyBounds(options), ...(at < revision ? { at } : {}) };
    for (const row of statement.iterate(parameters)) {
      const entry = toEntry(row as unknown as Row);
      bytes += Buffer.byteLength(entry.key) + entry.value.length;
      const full = entries.length === entriesMax || (entries.length > 0 && bytes > RANGE_BYTES_MAX);
      if (full) return { entries, more: true, revision: at };
      entries.push(entry);
    }
    return { entries, more: false, revision: at };
  }

  /** Writes a new current version of a key. */
  put(key: string, value: Uint8Array, lease: LeaseId | undefined, revision: number): WatchEvent {
    const before = this.#end(key, revision);
    const createRevision = before?.createRevision ?? revision;
    const version = (before?.version ?? 0) + 1;
    this.#insert.run(LIVE, key, value, createRevision, revision, version, lease ?? null);
    const entry = { key, value, createRevision, modRevision: revision, version };
    return { type: "put", entry: lease === undefined ? entry : { ...entry, lease } };
  }

  /** Ends a key's current version; undefined when there is none. */
  delete(key: string, revision: number): WatchEvent | undefined {
    if (!this.#end(key, revision)) return undefined;
    this.#insert.run(revision, key, null, 0, revision, 0, null);
    this.past.count += 1;
    const entry = { key, value: EMPTY, createRevision: 0, modRevision: revision, version: 0 };
    return { type: "delete", entry };
  }

  /** The keys that hang on a lease, in key order. */
  leaseKeys(lease: LeaseId): string[] {
    return this.#leaseKeys.all(lease).map((row) => row.key as string);
  }

  /** Whole transactions of the history from a revision on, about a range page at a time. */
  historyPage(prefix: string, fromRevision: number): HistoryPage {
    const events: WatchEvent[] = [];
    let bytes = 0;
    let lastRevision = 0;
    for (const row of this.#events.iterate(fromRevision, prefix, prefixEnd(prefix))) {
      const event = toEvent(row as unknown as Row);
      const { key, value, modRevision } = event.entry;
      const full = events.length >= RANGE_ENTRIES_MAX || bytes >= RANGE_BYTES_MAX;
      if (full && modRevision !== lastRevision) return { events, nextRevision: modRevision };
      lastRevision = modRevision;
      bytes += Buffer.byteLength(key) + value.length;
      events.push(event);
    }
    return { events, nextRevision: undefined };
  }

  #end(key: string, revision: number): Entry | undefined {
    const before = this.get(key);
    if (!before) return undefined;
    this.#endLive.run(revision, key);
    this.past.count += 1;
    this.past.bytes += before.value.length;
    return before;
  }
}

function keyBounds({ prefix, after, descending }: RangeOptions): Record<string, SQLInputValue> {
  return {
    prefix,
    // No key contains NUL, so the first key that can follow `after` is at or above this.
    low: after !== undefined && !descending ? `${after}\0` : "",
    upper: prefixEnd(prefix),
    high: after !== undefined && descending ? after : NO_BOUND,
  };
}

/** The lowest text above all that start with the prefix: its last raisable code point, raised. */
function prefixEnd(prefix: string): SQLInputValue {
  const points = [...prefix].map((character) => character.codePointAt(0) as number);
  while (points.at(-1) === 0x10ffff) points.pop();
  const last = points.pop();
  if (last === undefined) return NO_BOUND;
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
}

function toEntry(row: Row): Entry {
  assert(row.version > 0, "a deletion is not an entry");
  return entryOf(row);
}

function toEvent(row: Row): WatchEvent {
  return { type: row.version === 0 ? "delete" : "put", entry: entryOf(row) };
}

function entryOf(row: Row): Entry {
  const entry = {
    key: row.key,
    value: row.value ?? EMPTY,
    createRevision: row.create_revision,
    modRevision: row.mod_revision,
    version: row.version,
  };
  return row.lease === null ? entry : { ...entry, lease: row.lease };
}
