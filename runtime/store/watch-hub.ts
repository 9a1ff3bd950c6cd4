// Who watches the embedded store. A watch first replays history page by page, then follows what is
// published; the two cannot overlap, because the store's reads and commits never run at once.
import type { Watch, WatchEvent, WatchOptions } from "./store.ts";
import { RevisionCompactedError } from "./store-errors.ts";

/** Whole transactions of history; `nextRevision` is where to go on, undefined at the end. */
export interface HistoryPage {
  readonly events: readonly WatchEvent[];
  readonly nextRevision: number | undefined;
}

/** Where a watch replays from; `page` throws RevisionCompactedError when the start is gone. */
export interface History {
  readonly revision: number;
  page(prefix: string, fromRevision: number): HistoryPage;
}

interface Watcher {
  readonly prefix: string;
  readonly onEvents: (events: readonly WatchEvent[]) => void;
  readonly onCompacted: (error: RevisionCompactedError) => void;
  nextRevision: number;
  replaying: boolean;
}

/** The watches of one store. */
export class WatchHub {
  readonly #history: History;
  readonly #watchers = new Set<Watcher>();

  constructor(history: History) {
    this.#history = history;
  }

  /** Starts a watch; nothing is delivered before this returns. */
  open(
    { prefix, fromRevision }: WatchOptions,
    onEvents: (events: readonly WatchEvent[]) => void,
    onCompacted: (error: RevisionCompactedError) => void = crash,
  ): Watch {
    const nextRevision = fromRevision ?? this.#history.revision + 1;
    const replaying = nextRevision <= this.#history.revision;
    const watcher: Watcher = { prefix, onEvents, onCompacted, nextRevision, replaying };
    this.#watchers.add(watcher);
    if (replaying) setImmediate(() => this.#replay(watcher));
    return { close: () => this.#watchers.delete(watcher) };
  }

  /** Delivers committed transactions, whole and in revision order, to who follows. */
  publish(events: readonly WatchEvent[]): void {
    const last = events.at(-1);
    if (last === undefined) return;
    for (const watcher of [...this.#watchers]) {
      if (watcher.replaying || !this.#watchers.has(watcher)) continue;
      const { prefix, nextRevision } = watcher;
      const seen = events.filter(
        ({ entry }) => entry.modRevision >= nextRevision && entry.key.startsWith(prefix),
      );
      watcher.nextRevision = Math.max(nextRevision, last.entry.modRevision + 1);
      if (seen.length > 0) watcher.onEvents(seen);
    }
  }

  /** Ends all watches. */
  close(): void {
    this.#watchers.clear();
  }

  #replay(watcher: Watcher): void {
    if (!this.#watchers.has(watcher)) return;
    let page: HistoryPage;
    try {
      page = this.#history.page(watcher.prefix, watcher.nextRevision);
    } catch (error) {
      this.#watchers.delete(watcher);
      if (!(error instanceof RevisionCompactedError)) throw error;
      watcher.onCompacted(error);
      return;
    }
    watcher.replaying = page.nextRevision !== undefined;
    watcher.nextRevision = page.nextRevision ?? this.#history.revision + 1;
    if (page.events.length > 0) watcher.onEvents(page.events);
    if (watcher.replaying) setImmediate(() => this.#replay(watcher));
  }
}

function crash(error: RevisionCompactedError): void {
  throw error;
}
