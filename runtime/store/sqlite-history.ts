// How far back the embedded store remembers: the current revision, what is compacted, and how many
// past versions are kept. Beyond the bounds the oldest history is compacted inside the write that
// exceeded them, so that it costs no fsync of its own.
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { LIVE } from "./sqlite-file.ts";
import type { SqliteVersions } from "./sqlite-versions.ts";
import { RevisionCompactedError } from "./store-errors.ts";
import type { History, HistoryPage } from "./watch-hub.ts";

/** Past versions kept: at 20 heartbeats a second a watch may be away for over an hour. */
export const HISTORY_VERSIONS_MAX = 100_000;
/** Bytes of past values kept: the versions above are of about 1 KiB; big values must not fill disks. */
const HISTORY_BYTES_MAX = 256 << 20;
/** Versions dropped at once: a thousand deletes are about 3 ms. */
const COMPACTION_STEP = 1000;
/** The revision of an empty store, as etcd's, so that 0 can mean "absent". */
const FIRST_REVISION = 1;

/** The revisions of one store; `reload` after an undone write. */
export class SqliteHistory implements History {
  readonly #versions: SqliteVersions;
  readonly #versionsMax: number;
  readonly #load: StatementSync;
  readonly #nthOldest: StatementSync;
  readonly #sizeBelow: StatementSync;
  readonly #drop: StatementSync;
  readonly #setCompacted: StatementSync;
  #revision = FIRST_REVISION;
  #compactedRevision = 0;

  constructor(database: DatabaseSync, versions: SqliteVersions, versionsMax: number) {
    this.#versions = versions;
    this.#versionsMax = versionsMax;
    const past = `FROM versions WHERE ended < ${LIVE}`;
    this.#load = database.prepare(`SELECT (SELECT max(mod_revision) FROM versions) AS revision,
      (SELECT revision FROM compaction) AS compacted, (SELECT count(*) ${past}) AS count,
      (SELECT coalesce(sum(length(value)), 0) ${past}) AS bytes`);
    this.#nthOldest = database.prepare(`SELECT ended ${past} ORDER BY ended LIMIT 1 OFFSET ?`);
    this.#sizeBelow = database.prepare(`SELECT count(*) AS count,
      coalesce(sum(length(value)), 0) AS bytes ${past} AND ended <= ? AND mod_revision < ?`);
    this.#drop = database.prepare(
      `DELETE FROM versions WHERE ended < ${LIVE} AND ended <= ? AND mod_revision < ?`,
    );
    this.#setCompacted = database.prepare("UPDATE compaction SET revision = ?");
    this.reload();
  }

  /** The revision of the last transaction that wrote. */
  get revision(): number {
    return this.#revision;
  }

  /** Tells that a transaction wrote at the next revision. */
  advance(): void {
    this.#revision += 1;
  }

  /** Throws RangeError unless there is or was such a revision. */
  checkRevision(revision: number): void {
    if (!Number.isInteger(revision) || revision < FIRST_REVISION || revision > this.#revision) {
      throw new RangeError(
        `revision ${revision} is not one from ${FIRST_REVISION} to ${this.#revision}`,
      );
    }
  }

  /** Throws unless history at `revision` can be read. */
  checkReadable(revision: number): void {
    this.checkRevision(revision);
    if (revision < this.#compactedRevision) {
      throw new RevisionCompactedError(revision, this.#compactedRevision);
    }
  }

  page(prefix: string, fromRevision: number): HistoryPage {
    this.checkReadable(fromRevision);
    return this.#versions.historyPage(prefix, fromRevision);
  }

  /** Drops what is past before `revision`; what happened at it can still be read and watched. */
  compact(revision: number): void {
    if (revision <= this.#compactedRevision) return;
    const size = this.#sizeBelow.get(revision, revision);
    this.#drop.run(revision, revision);
    this.#setCompacted.run(revision);
    this.#versions.past.count -= size?.count as number;
    this.#versions.past.bytes -= size?.bytes as number;
    this.#compactedRevision = revision;
  }

  /** Compacts the oldest history while the bounds are exceeded. */
  trim(): void {
    const { past } = this.#versions;
    const slack = Math.min(COMPACTION_STEP, this.#versionsMax);
    while (past.count >= this.#versionsMax + slack || past.bytes > HISTORY_BYTES_MAX) {
      if (this.#compactedRevision >= this.#revision) return;
      const oldest = this.#nthOldest.get(Math.min(slack, past.count) - 1)?.ended as number;
      // Deletions at the compacted revision itself are kept; where only they are left, step past it.
      this.compact(Math.max(oldest, this.#compactedRevision + 1));
    }
  }

  /** Reads all from the database again. */
  reload(): void {
    const row = this.#load.get();
    this.#revision = (row?.revision as number | null) ?? FIRST_REVISION;
    this.#compactedRevision = row?.compacted as number;
    this.#versions.past.count = row?.count as number;
    this.#versions.past.bytes = row?.bytes as number;
  }
}
