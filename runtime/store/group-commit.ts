// Group commit: the writes asked for in one turn of the event loop share one SQLite transaction, and
// so one fsync. Each job checks everything before its first write, so a refused job leaves nothing
// behind and needs no savepoint; any other failure undoes the whole group and tells every caller.
import type { DatabaseSync } from "node:sqlite";
import {
  LeaseNotFoundError,
  StoreUnavailableError,
  StoreUnknownOutcomeError,
} from "./store-errors.ts";

/** Jobs of a group: 256 of a few rows are about 2 ms, the longest the event loop is held up. */
const GROUP_JOBS_MAX = 256;
const SQLITE_FULL = 13;

/** What happens around a group: both are called synchronously, outside any transaction. */
export interface GroupEnds {
  readonly committed: () => void;
  readonly undone: () => void;
}

interface Job {
  readonly work: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The queue of writes to one database. */
export class GroupCommit {
  readonly #database: DatabaseSync;
  readonly #ends: GroupEnds;
  #waiting: Job[] = [];
  #scheduled = false;
  #holds = 0;
  #broken: Error | undefined;

  constructor(database: DatabaseSync, ends: GroupEnds) {
    this.#database = database;
    this.#ends = ends;
  }

  /** Set when a commit's outcome is unknown: what is on disk must be read by a new process. */
  get broken(): Error | undefined {
    return this.#broken;
  }

  /** Runs `work` in a group; resolves with its result once that is durable. */
  submit<Result>(work: () => Result): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.#waiting.push({ work, resolve: resolve as (result: unknown) => void, reject });
      this.#schedule();
    });
  }

  /** Begins no group until the function that is returned is called, once or more; `flush` runs them all the same. */
  hold(): () => void {
    let isHeld = true;
    this.#holds += 1;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds -= 1;
      if (this.#waiting.length > 0) this.#schedule();
    };
  }

  /** Runs all that waits, now. */
  flush(): void {
    while (this.#waiting.length > 0) this.#runGroup(this.#waiting.splice(0, GROUP_JOBS_MAX));
  }

  #schedule(): void {
    if (this.#scheduled || this.#holds > 0) return;
    this.#scheduled = true;
    setImmediate(() => this.#flushOne());
  }

  #flushOne(): void {
    this.#scheduled = false;
    if (this.#holds > 0) return;
    const group = this.#waiting.splice(0, GROUP_JOBS_MAX);
    if (this.#waiting.length > 0) this.#schedule();
    if (group.length > 0) this.#runGroup(group);
  }

  #runGroup(group: readonly Job[]): void {
    const settle: (() => void)[] = [];
    let committing = false;
    try {
      if (this.#broken !== undefined) throw this.#broken;
      this.#database.exec("BEGIN IMMEDIATE");
      for (const job of group) settle.push(runJob(job));
      committing = true;
      this.#database.exec("COMMIT");
    } catch (cause) {
      const failure = this.#undo(cause, committing);
      for (const job of group) job.reject(failure);
      return;
    }
    for (const call of settle) call();
    this.#ends.committed();
  }

  #undo(cause: unknown, committing: boolean): Error {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (committing && sqliteCode(cause) !== SQLITE_FULL) {
      // After a failed fsync the kernel may have dropped the pages: nothing here can be trusted.
      this.#broken = new StoreUnavailableError(
        `the store failed while committing (${reason}): restart the program`,
        { cause },
      );
      return new StoreUnknownOutcomeError(`commit failed: ${reason}`, { cause });
    }
    if (this.#broken !== undefined) return this.#broken;
    try {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      this.#ends.undone();
    } catch (error) {
      this.#broken = new StoreUnavailableError(
        `the store could not undo a failed write (${String(error)}): restart the program`,
        { cause: error },
      );
    }
    // What is not SQLite's failure is a bug, and is not dressed up as one.
    if (sqliteCode(cause) === undefined && cause instanceof Error) return cause;
    return new StoreUnavailableError(`the store did not take the write: ${reason}`, { cause });
  }
}

function runJob({ work, resolve, reject }: Job): () => void {
  try {
    const result = work();
    return () => resolve(result);
  } catch (error) {
    if (!(error instanceof LeaseNotFoundError)) throw error;
    return () => reject(error);
  }
}

/** The primary SQLite result code of an error, or undefined when it is not SQLite's. */
export function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode & 0xff : undefined;
}
