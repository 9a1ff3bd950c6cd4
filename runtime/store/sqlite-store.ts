// The embedded driver of the store: one SQLite file, held by one process. It joins the parts: rows
// (sqlite-versions), revisions (sqlite-history), grouped writes (group-commit), leases and watches.
// After a restart every lease gets its full time again, because nobody could have kept it alive.
import { randomUUID } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { GroupCommit } from "./group-commit.ts";
import { type LeaseClock, PROCESS_CLOCK } from "./lease-clock.ts";
import { LeaseTable } from "./lease-table.ts";
import { copyDatabase } from "./sqlite-backup.ts";
import { openSqliteFile, type SqliteFile } from "./sqlite-file.ts";
import { HISTORY_VERSIONS_MAX, SqliteHistory } from "./sqlite-history.ts";
import { SqliteVersions } from "./sqlite-versions.ts";
import type {
  Compare,
  Entry,
  LeaseId,
  Operation,
  RangeOptions,
  RangePage,
  Store,
  Transaction,
  TransactionResult,
  Watch,
  WatchEvent,
  WatchOptions,
} from "./store.ts";
import type { RevisionCompactedError } from "./store-errors.ts";
import { LeaseNotFoundError, StoreUnavailableError } from "./store-errors.ts";
import { checkKey, checkLeaseTtl, checkRange, checkTransaction } from "./store-limits.ts";
import { WatchHub } from "./watch-hub.ts";

/** What may differ from the defaults: the clock of leases, and the past versions kept. */
export interface SqliteStoreOptions {
  readonly clock?: LeaseClock;
  readonly historyVersionsMax?: number;
}

/** Opens or creates the store at `path`; StoreUnavailableError names the file and its holder. */
export function openSqliteStore(path: string, options: SqliteStoreOptions = {}): SqliteStore {
  return new SqliteStore(openSqliteFile(path), options);
}

/** The store on one SQLite file; see Store for what each call promises. */
export class SqliteStore implements Store {
  readonly isExclusive = true;
  readonly #file: SqliteFile;
  readonly #versions: SqliteVersions;
  readonly #history: SqliteHistory;
  readonly #commits: GroupCommit;
  readonly #leases: LeaseTable;
  readonly #hub: WatchHub;
  readonly #leaseRows: ReturnType<typeof leaseStatements>;
  #written: WatchEvent[] = [];
  #closed = false;

  constructor(file: SqliteFile, options: SqliteStoreOptions) {
    const { database } = file;
    this.#file = file;
    this.#versions = new SqliteVersions(database);
    const versionsMax = options.historyVersionsMax ?? HISTORY_VERSIONS_MAX;
    this.#history = new SqliteHistory(database, this.#versions, versionsMax);
    this.#commits = new GroupCommit(database, {
      committed: () => this.#publish(),
      undone: () => this.#forget(),
    });
    this.#hub = new WatchHub(this.#history);
    this.#leaseRows = leaseStatements(database);
    this.#leases = new LeaseTable(options.clock ?? PROCESS_CLOCK, (id) => this.#endLease(id));
    for (const row of this.#leaseRows.all.all()) {
      this.#leases.add(row.id as string, row.ttl_ms as number);
    }
  }

  async get(key: string): Promise<Entry | undefined> {
    checkKey(key);
    return this.#read(() => this.#versions.get(key));
  }

  async range(options: RangeOptions): Promise<RangePage> {
    checkRange(options);
    return this.#read(() => {
      if (options.revision !== undefined) this.#history.checkReadable(options.revision);
      return this.#versions.range(options, this.#history.revision);
    });
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    this.#checkOpen();
    // The group runs later in this turn of the event loop: the caller's buffers are copied now.
    const compares = transaction.compares.map(copyCompare);
    const operations = transaction.operations.map(copyOperation);
    return this.#commits.submit(() => this.#transact(compares, operations));
  }

  async grantLease(ttlMs: number): Promise<LeaseId> {
    checkLeaseTtl(ttlMs);
    this.#checkOpen();
    const id = randomUUID();
    await this.#commits.submit(() => this.#leaseRows.insert.run(id, ttlMs));
    this.#leases.add(id, ttlMs);
    return id;
  }

  async keepAlive(lease: LeaseId): Promise<boolean> {
    this.#checkOpen();
    return this.#leases.keepAlive(lease);
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    this.#checkOpen();
    await this.#endLease(lease);
  }

  async watch(
    options: WatchOptions,
    onEvents: (events: readonly WatchEvent[]) => void,
    onCompacted?: (error: RevisionCompactedError) => void,
  ): Promise<Watch> {
    checkRange(options);
    this.#checkOpen();
    const { fromRevision } = options;
    if (fromRevision !== undefined && !(Number.isInteger(fromRevision) && fromRevision >= 1)) {
      throw new RangeError(`revision ${fromRevision} is not one from 1 on`);
    }
    return this.#hub.open(options, onEvents, onCompacted);
  }

  async compact(revision: number): Promise<void> {
    this.#checkOpen();
    this.#history.checkRevision(revision);
    await this.#commits.submit(() => this.#history.compact(revision));
  }

  async backup(path: string): Promise<void> {
    this.#checkOpen();
    await copyDatabase(this.#file.database, path, () => this.#commits.hold());
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#leases.close();
    this.#commits.flush();
    this.#hub.close();
    this.#file.close();
  }

  #transact(compares: readonly Compare[], operations: readonly Operation[]): TransactionResult {
    const current = compares.map(({ key }) => this.#versions.get(key));
    const { revision } = this.#history;
    if (!compares.every((compare, index) => holds(compare, current[index]))) {
      return { committed: false, revision, current };
    }
    for (const operation of operations) this.#checkLease(operation);
    const next = revision + 1;
    const events: WatchEvent[] = [];
    for (const operation of operations) {
      const event =
        "put" in operation
          ? this.#versions.put(operation.put, operation.value, operation.lease, next)
          : this.#versions.delete(operation.delete, next);
      if (event) events.push(event);
    }
    this.#wrote(events);
    return { committed: true, revision: this.#history.revision };
  }

  #endLease(id: LeaseId): Promise<void> {
    const ended = this.#commits.submit(() => {
      const next = this.#history.revision + 1;
      const events = this.#versions
        .leaseKeys(id)
        .map((key) => this.#versions.delete(key, next))
        .filter((event) => event !== undefined);
      this.#leaseRows.delete.run(id);
      this.#wrote(events);
    });
    return ended.then(() => this.#leases.remove(id));
  }

  #wrote(events: readonly WatchEvent[]): void {
    if (events.length === 0) return;
    this.#history.advance();
    this.#history.trim();
    this.#written.push(...events);
  }

  #publish(): void {
    const events = this.#written;
    this.#written = [];
    this.#hub.publish(events);
  }

  #forget(): void {
    this.#written = [];
    this.#history.reload();
  }

  #checkLease(operation: Operation): void {
    if (!("put" in operation) || operation.lease === undefined) return;
    const { lease } = operation;
    const exists = this.#leaseRows.get.get(lease) !== undefined;
    if (!exists || !this.#leases.isAlive(lease)) throw new LeaseNotFoundError(lease);
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreUnavailableError("the store is closed");
    if (this.#commits.broken) throw this.#commits.broken;
  }

  #read<Result>(read: () => Result): Result {
    this.#checkOpen();
    try {
      return read();
    } catch (error) {
      if (!(error instanceof Error) || !("errcode" in error)) throw error;
      throw new StoreUnavailableError(`the store cannot be read: ${error.message}`, {
        cause: error,
      });
    }
  }
}

function holds(compare: Compare, entry: Entry | undefined): boolean {
  if ("is" in compare) return (entry !== undefined) === (compare.is === "present");
  if ("modRevision" in compare) return (entry?.modRevision ?? 0) === compare.modRevision;
  if ("createRevision" in compare) return (entry?.createRevision ?? 0) === compare.createRevision;
  return entry !== undefined && Buffer.compare(entry.value, compare.value) === 0;
}

function copyCompare(compare: Compare): Compare {
  return "value" in compare ? { ...compare, value: new Uint8Array(compare.value) } : compare;
}

function copyOperation(operation: Operation): Operation {
  return "put" in operation ? { ...operation, value: new Uint8Array(operation.value) } : operation;
}

function leaseStatements(database: DatabaseSync): {
  readonly all: StatementSync;
  readonly get: StatementSync;
  readonly insert: StatementSync;
  readonly delete: StatementSync;
} {
  return {
    all: database.prepare("SELECT id, ttl_ms FROM leases"),
    get: database.prepare("SELECT 1 FROM leases WHERE id = ?"),
    insert: database.prepare("INSERT INTO leases VALUES (?, ?)"),
    delete: database.prepare("DELETE FROM leases WHERE id = ?"),
  };
}
