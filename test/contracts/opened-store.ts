// What the store's contract suite needs of a driver under test, and the few words its cases share.
import { strict as assert } from "node:assert";
import type { Entry, Store, WatchEvent, WatchOptions } from "../../runtime/store/store.ts";
import type { RevisionCompactedError } from "../../runtime/store/store-errors.ts";

/** Only a test that fails waits so long. */
const WATCHED_MS = 60_000;

/** A store of one test, empty at first. */
export interface OpenedStore {
  readonly store: Store;
  /** What openStore() takes to open the same store in another process. */
  readonly url: string;
  /** Lets leases age: a driver with a clock of its own turns it, others wait. */
  passTime(ms: number): Promise<void>;
  /** Closes the store, runs `between` and opens it again, as a restarted program would. */
  reopen(between?: () => Promise<void>): Promise<Store>;
  /** As reopen, but what counts the time of leases is restarted too. */
  restart(): Promise<Store>;
  /** Closes the store and removes what it kept. */
  dispose(): Promise<void>;
}

/** Opens an empty store. */
export type OpenStore = () => Promise<OpenedStore>;

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(entry: Entry | undefined): string | undefined {
  return entry && new TextDecoder().decode(entry.value);
}

/** Puts keys to values in one transaction without conditions; the revision it got. */
export async function put(store: Store, pairs: Readonly<Record<string, string>>): Promise<number> {
  const operations = Object.entries(pairs).map(([key, value]) => ({
    put: key,
    value: bytes(value),
  }));
  const result = await store.transact({ compares: [], operations });
  assert(result.committed);
  return result.revision;
}

export async function remove(store: Store, ...keys: readonly string[]): Promise<number> {
  const operations = keys.map((key) => ({ delete: key }));
  return (await store.transact({ compares: [], operations })).revision;
}

/** Whether the error names what a store may have kept when it was compacted to `revision`. */
export function isFirstAfter(error: RevisionCompactedError, revision: number): boolean {
  return [revision - 1, revision].includes(error.compactedRevision);
}

/** One line an event: `3 put a=1` or `4 delete a`. */
export function line({ type, entry }: WatchEvent): string {
  return `${entry.modRevision} ${type} ${entry.key}${type === "put" ? `=${text(entry)}` : ""}`;
}

/** Records what a watch delivers, checks its order, and waits for it. */
export class WatchLog {
  readonly events: WatchEvent[] = [];
  compacted: RevisionCompactedError | undefined;
  #check: (() => void) | undefined;

  /** Opens a watch that is recorded here. */
  async watch(store: Store, options: WatchOptions): Promise<() => void> {
    const watch = await store.watch(
      options,
      (events) => this.#add(events),
      (error) => {
        assert.equal(this.compacted, undefined, "compaction is told once");
        this.compacted = error;
        this.#check?.();
      },
    );
    return () => watch.close();
  }

  get lines(): string[] {
    return this.events.map(line);
  }

  /** Resolves when the condition holds; rejects with what has come so far after WATCHED_MS. */
  async until(holds: (log: WatchLog) => boolean): Promise<void> {
    if (holds(this)) return;
    const held = Promise.withResolvers<void>();
    this.#check = () => {
      if (holds(this)) held.resolve();
    };
    const timer = setTimeout(() => {
      const last = this.lines.slice(-5).join(", ");
      held.reject(new Error(`not watched: ${holds}; ${this.events.length} events came: ${last}`));
    }, WATCHED_MS);
    await held.promise.finally(() => clearTimeout(timer));
  }

  #add(events: readonly WatchEvent[]): void {
    assert(events.length > 0, "a call delivers something");
    assert.equal(this.compacted, undefined, "nothing follows compaction");
    let last = this.events.at(-1)?.entry.modRevision ?? 0;
    const first = events[0]?.entry.modRevision ?? 0;
    assert(first > last, `a call starts at a new transaction: ${first} after ${last}`);
    for (const { entry } of events) {
      assert(entry.modRevision >= last, "events come in revision order");
      last = entry.modRevision;
    }
    this.events.push(...events);
    this.#check?.();
  }
}
