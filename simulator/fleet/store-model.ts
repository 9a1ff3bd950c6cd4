// The cluster's store as a model: entries with revisions, transactions with compares, leases that end, watches
// that deliver whole transactions in order. It keeps true time, and knows nothing of who asks nor how far away.
import type { Timeline } from "./process.ts";

/** One key; the value is plain data that nobody changes. */
export interface StoredEntry {
  readonly key: string;
  readonly value: unknown;
  readonly modRevision: number;
  readonly lease: string | undefined;
}

/** As the store's interface in production has them; revision 0 means absent. */
export type Condition =
  | { readonly key: string; readonly is: "absent" }
  | { readonly key: string; readonly modRevision: number };

export type Write =
  | { readonly put: string; readonly value: unknown; readonly lease?: string }
  | { readonly delete: string };

export interface Change {
  readonly compares: readonly Condition[];
  readonly operations: readonly Write[];
  /** Epoch of the leader that writes; for those who look on, and no part of what is written. */
  readonly by?: number;
}

export type ChangeResult =
  | { readonly committed: true; readonly revision: number }
  | {
      readonly committed: false;
      readonly revision: number;
      readonly current: readonly (StoredEntry | undefined)[];
    };

/** What one transaction did to the keys of a watch. */
export type StoreEvent =
  | { readonly type: "put"; readonly entry: StoredEntry }
  | { readonly type: "delete"; readonly entry: StoredEntry };

interface Watching {
  readonly prefix: string;
  readonly onEvents: (events: readonly StoreEvent[]) => void;
  readonly onCompacted: () => void;
}

/** Its whole content at one moment. */
export interface StoreBackup {
  readonly entries: ReadonlyMap<string, StoredEntry>;
  readonly revision: number;
}

export class StoreModel {
  readonly #time: Timeline;
  #entries = new Map<string, StoredEntry>();
  #revision = 1;
  readonly #leases = new Map<string, { readonly ttlMs: number; endsAt: number }>();
  readonly #watches = new Set<Watching>();
  #leaseCount = 0;
  #generation = 0;
  /** Called for each transaction that committed. */
  onCommit: (operations: readonly Write[], by: number | undefined) => void = () => {};

  constructor(time: Timeline) {
    this.#time = time;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Rises when it is put back: what was under way then was for the store that is gone. */
  get generation(): number {
    return this.#generation;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): StoredEntry | undefined {
    return this.#entries.get(key);
  }

  /** Entries under a prefix, by key. */
  range(prefix: string): readonly StoredEntry[] {
    const found = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix));
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  transact({ compares, operations, by }: Change): ChangeResult {
    const holds = compares.every((compare) => {
      const modRevision = this.#entries.get(compare.key)?.modRevision ?? 0;
      return "is" in compare ? modRevision === 0 : modRevision === compare.modRevision;
    });
    if (!holds) {
      const current = compares.map(({ key }) => this.#entries.get(key));
      return { committed: false, revision: this.#revision, current };
    }
    for (const operation of operations) {
      if ("put" in operation && operation.lease !== undefined && !this.has(operation.lease)) {
        const current = compares.map(({ key }) => this.#entries.get(key));
        return { committed: false, revision: this.#revision, current };
      }
    }
    this.#apply(operations, by);
    return { committed: true, revision: this.#revision };
  }

  grant(ttlMs: number): string {
    this.#leaseCount += 1;
    const lease = `l${this.#leaseCount}`;
    this.#leases.set(lease, { ttlMs, endsAt: 0 });
    this.keepAlive(lease);
    return lease;
  }

  has(lease: string): boolean {
    return this.#leases.has(lease);
  }

  /** Gives the lease its full time again; false when it is gone. */
  keepAlive(lease: string): boolean {
    const kept = this.#leases.get(lease);
    if (kept === undefined) return false;
    const endsAt = this.#time.now + kept.ttlMs;
    kept.endsAt = endsAt;
    this.#time.at(endsAt, () => {
      if (this.#leases.get(lease)?.endsAt === endsAt) this.revoke(lease);
    });
    return true;
  }

  revoke(lease: string): void {
    if (!this.#leases.delete(lease)) return;
    const keys = [...this.#entries.values()].filter((entry) => entry.lease === lease);
    if (keys.length > 0) this.#apply(keys.map(({ key }) => ({ delete: key })));
  }

  /** Leases that have not ended. */
  get leases(): readonly string[] {
    return [...this.#leases.keys()];
  }

  /** Delivers from now on; returns how to end it. */
  watch(watching: Watching): () => void {
    this.#watches.add(watching);
    return () => void this.#watches.delete(watching);
  }

  /** Watches are told that the history they need is gone. */
  compact(): void {
    const watches = [...this.#watches];
    this.#watches.clear();
    for (const { onCompacted } of watches) onCompacted();
  }

  backup(): StoreBackup {
    return { entries: new Map(this.#entries), revision: this.#revision };
  }

  /** Puts it back to an older state, as from a backup: leases are gone, and revisions go back. */
  restore({ entries, revision }: StoreBackup): void {
    this.#generation += 1;
    this.#entries = new Map([...entries].filter(([, { lease }]) => lease === undefined));
    this.#revision = revision;
    this.#leases.clear();
    this.compact();
  }

  #apply(operations: readonly Write[], by?: number): void {
    if (operations.length === 0) return;
    this.#revision += 1;
    const modRevision = this.#revision;
    this.onCommit(operations, by);
    const events = operations.map((operation): StoreEvent => {
      if ("delete" in operation) {
        const key = operation.delete;
        this.#entries.delete(key);
        return { type: "delete", entry: { key, value: undefined, modRevision, lease: undefined } };
      }
      const { put: key, value, lease } = operation;
      const entry = { key, value, modRevision, lease };
      this.#entries.set(key, entry);
      return { type: "put", entry };
    });
    for (const { prefix, onEvents } of [...this.#watches]) {
      const own = events.filter(({ entry }) => entry.key.startsWith(prefix));
      if (own.length > 0) onEvents(own);
    }
  }
}
