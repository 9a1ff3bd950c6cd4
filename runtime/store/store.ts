// The store: a small ordered key-value map with revisions, transactions, leases and watches, shaped
// after etcd so that one contract suite holds for every driver. This file owns the interface; limits
// are in store-limits.ts, errors in store-errors.ts. Revisions rise with every committed transaction that
// writes, by one where nothing else writes to the same database, and are shared by all its operations.
// Keys are ordered by their UTF-8 bytes.
import type { RevisionCompactedError } from "./store-errors.ts";

/** Names a lease; never used again once the lease is gone. */
export type LeaseId = string;

/** One key as of a revision; `version` counts the writes since the key was created. */
export interface Entry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly lease?: LeaseId;
}

/** A condition of a transaction; revision 0 means "absent", and no value equals an absent key's. */
export type Compare =
  | { readonly key: string; readonly is: "absent" | "present" }
  | { readonly key: string; readonly modRevision: number }
  | { readonly key: string; readonly createRevision: number }
  | { readonly key: string; readonly value: Uint8Array };

/** A write; a put without a lease takes the key off its lease, a delete of no key does nothing. */
export type Operation =
  | { readonly put: string; readonly value: Uint8Array; readonly lease?: LeaseId }
  | { readonly delete: string };

/** All operations happen, or, when a compare does not hold, none; each key is changed at most once. */
export interface Transaction {
  readonly compares: readonly Compare[];
  readonly operations: readonly Operation[];
}

/** `current` holds the entries of the compares' keys, in their order, when a compare did not hold. */
export type TransactionResult =
  | { readonly committed: true; readonly revision: number }
  | {
      readonly committed: false;
      readonly revision: number;
      readonly current: readonly (Entry | undefined)[];
    };

/** Which keys a range reads; the page's revision, given to the next, makes pages one snapshot. */
export interface RangeOptions {
  readonly prefix: string;
  /** The key to go on from, itself left out; descending pages go on to lower keys. */
  readonly after?: string;
  /** Entries at most, 1 to RANGE_ENTRIES_MAX (also the default). */
  readonly limit?: number;
  readonly descending?: boolean;
  /** Reads as of this revision; now when left out. */
  readonly revision?: number;
}

/** A part of a range: at most the asked limit and 1 MiB, but at least one entry if there is one. */
export interface RangePage {
  readonly entries: readonly Entry[];
  readonly more: boolean;
  readonly revision: number;
}

/** A change; a deletion's entry has its key and revision, an empty value, and zeros otherwise. */
export interface WatchEvent {
  readonly type: "put" | "delete";
  readonly entry: Entry;
}

/** Which events to see: from `fromRevision` on, itself included, or those after now. */
export interface WatchOptions {
  readonly prefix: string;
  readonly fromRevision?: number;
}

/** A running watch; nothing is delivered after close() returns. */
export interface Watch {
  close(): void;
}

/** One member of a store that has several. */
export interface StoreMember {
  readonly address: string;
  /** Why it does not answer; undefined: it does. */
  readonly trouble: string | undefined;
  readonly databaseBytes: number;
}

/** How a store of several members stands, for people to see. */
export interface StoreCondition {
  readonly members: readonly StoreMember[];
  /** Alarms that are raised, in the store's words. */
  readonly alarms: readonly string[];
}

/** Every call may reject with StoreUnavailableError; writes also with StoreUnknownOutcomeError. */
export interface Store {
  /** Whether this process has the store for itself, so that nobody lives who held a lease before it. */
  readonly isExclusive: boolean;
  /** The entry now, or undefined. */
  get(key: string): Promise<Entry | undefined>;
  /** One page of keys; RevisionCompactedError when the asked revision's history is gone. */
  range(options: RangeOptions): Promise<RangePage>;
  /** Atomic, and durable when it resolves; LeaseNotFoundError when a put names a lost lease. */
  transact(transaction: Transaction): Promise<TransactionResult>;
  /** A lease that ends, deleting its keys in one revision, when not kept alive for `ttlMs`. */
  grantLease(ttlMs: number): Promise<LeaseId>;
  /** Gives the lease its full time again; false when it is gone. */
  keepAlive(lease: LeaseId): Promise<boolean>;
  /** Ends the lease and deletes its keys; does nothing when it is gone. */
  revokeLease(lease: LeaseId): Promise<void>;
  /**
   * Delivers whole transactions in revision order, each once. When the history it needs is gone,
   * onCompacted is called once and the watch is over; without onCompacted the error is thrown into
   * the event loop, because lost events must not pass in silence.
   */
  watch(
    options: WatchOptions,
    onEvents: (events: readonly WatchEvent[]) => void,
    onCompacted?: (error: RevisionCompactedError) => void,
  ): Promise<Watch>;
  /** Forgets the history before `revision`, but perhaps the last of it; reads and watches can start there. */
  compact(revision: number): Promise<void>;
  /**
   * Puts a copy of the store, whole and of one moment, in the place of a file; absent where the store has a way of its
   * own. StoreUnavailableError where it cannot be written; then the file is as it was.
   */
  backup?(path: string): Promise<void>;
  /** How its members stand, each asked by itself; absent where it has none. Never rejects. */
  condition?(): Promise<StoreCondition>;
  /** Finishes what was asked, ends all watches and frees the store; later calls are refused. */
  close(): Promise<void>;
}

/** All entries under a prefix as of one revision (now when left out); RevisionCompactedError if too slow. */
export async function* scan(
  store: Store,
  prefix: string,
  revision?: number,
): AsyncGenerator<Entry, void, void> {
  let page = await store.range({ prefix, ...(revision !== undefined && { revision }) });
  while (true) {
    yield* page.entries;
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) return;
    page = await store.range({ prefix, after: last.key, revision: page.revision });
  }
}

/** All entries under a prefix, each page as it is when it is read: for long ways through what may change. */
export async function* walk(store: Store, prefix: string): AsyncGenerator<Entry, void, void> {
  let page = await store.range({ prefix });
  while (true) {
    yield* page.entries;
    const last = page.entries.at(-1);
    if (!page.more || last === undefined) return;
    page = await store.range({ prefix, after: last.key });
  }
}
