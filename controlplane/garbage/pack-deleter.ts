// Deletes packs whose marks say so: of attempts that ended without a release, at once, and those that the
// collector has begun to delete. The seal goes first, so that what is left of a pack never looks whole. It follows
// the marks, goes on with what an earlier leader left, and tries again what fails.
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import type { Log } from "../../runtime/log.ts";
import { packPrefix, sealKey } from "../../runtime/release/pack-keys.ts";
import {
  type Entry,
  type Operation,
  type Store,
  scan,
  type Watch,
} from "../../runtime/store/store.ts";
import { counter } from "../../runtime/telemetry.ts";
import type { Fence } from "../fence.ts";
import {
  DROPPED,
  droppedKey,
  encodeMark,
  MARKS,
  markKey,
  packOfMark,
  parseMark,
} from "./pack-mark-row.ts";

/**
 * What an attempt dropped is deleted once more after that time: a worker that is fenced stops with its next
 * heartbeat, and a segment takes seconds to store.
 */
const AGAIN_MS = 60_000;
/** Wait before what failed is tried again. */
const RETRY_MS = 30_000;
/** Blobs deleted at once: a bucket answers in 50 ms, so 5,000 builds a day of 150 segments take 80 min. */
const AT_ONCE = 8;

export interface PackDeleterOptions {
  readonly store: Store;
  readonly fence: Fence;
  readonly origin: BlobStore;
  readonly log: Log;
}

/** The deleter of one leader. */
export class PackDeleter {
  readonly #options: PackDeleterOptions;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #deleted = counter("millrace.packs.deleted", "Packs deleted at the origin", "{pack}");
  readonly #freed = counter("millrace.packs.freed", "Bytes deleted at the origin", "By");
  readonly #watches = new Map<string, Watch>();
  readonly #anew = new Map<string, NodeJS.Timeout>();
  #stopped = false;

  constructor(options: PackDeleterOptions) {
    this.#options = options;
  }

  /** Goes on with the packs whose marks say so, and follows new marks. */
  async start(): Promise<void> {
    for (const prefix of [DROPPED, MARKS]) await this.#follow(prefix);
  }

  /** Deletes a pack whose mark says so, now; resolves when that has been tried. */
  async delete(pack: string): Promise<void> {
    await this.#running.get(pack);
    if (this.#stopped) return;
    clearTimeout(this.#timers.get(pack));
    await this.#begin(pack, false);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#anew.values()) clearTimeout(timer);
    for (const watch of this.#watches.values()) watch.close();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.all(this.#running.values());
  }

  async #follow(prefix: string): Promise<void> {
    const { store } = this.#options;
    this.#watches.get(prefix)?.close();
    const watch = await store.watch(
      { prefix },
      (events) => {
        for (const { type, entry } of events) if (type === "put") this.#see(entry);
      },
      () => this.#followAnew(prefix),
    );
    this.#watches.set(prefix, watch);
    if (this.#stopped) watch.close();
    for await (const entry of scan(store, prefix)) this.#see(entry);
  }

  /** The watch is over because history was compacted; what it missed is marked still. */
  #followAnew(prefix: string): void {
    if (this.#stopped) return;
    this.#follow(prefix).catch((error: unknown) => {
      this.#options.log.warn({ err: error }, "marked packs could not be read yet");
      this.#anew.set(
        prefix,
        setTimeout(() => this.#followAnew(prefix), RETRY_MS),
      );
    });
  }

  #see(entry: Entry): void {
    const { state } = parseMark(entry);
    if (state === "dropped" || state === "deleting") {
      this.#plan(packOfMark(entry), false, 0);
    }
  }

  #plan(pack: string, isLast: boolean, delayMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timers.get(pack));
    this.#timers.set(
      pack,
      setTimeout(() => void this.#begin(pack, isLast), delayMs),
    );
  }

  /** One at a time of each pack. */
  #begin(pack: string, isLast: boolean): Promise<void> {
    const running = this.#running.get(pack);
    if (running !== undefined) return running;
    this.#timers.delete(pack);
    const work = this.#collect(pack, isLast).finally(() => this.#running.delete(pack));
    this.#running.set(pack, work);
    return work;
  }

  async #collect(pack: string, isLast: boolean): Promise<void> {
    const { store, fence, log } = this.#options;
    try {
      const entry = (await store.get(droppedKey(pack))) ?? (await store.get(markKey(pack)));
      const mark = entry && parseMark(entry);
      // Done by an earlier run.
      if (entry === undefined || mark === undefined || !fence.holds()) return;
      if (mark.state !== "dropped" && mark.state !== "deleting") return;
      const { count, bytes } = await this.#deleteBlobs(pack);
      if (count > 0) {
        log.info({ pack, count, bytes, state: mark.state }, "deleted a pack");
        this.#deleted.add(1, { why: mark.state });
        this.#freed.add(bytes);
      }
      if (mark.state === "dropped" && !isLast) return this.#plan(pack, true, AGAIN_MS);
      const after: Operation =
        mark.state === "dropped"
          ? { delete: entry.key }
          : {
              put: entry.key,
              value: encodeMark({ ...mark, state: "collected", atMs: Date.now() }),
            };
      failpoint("controlplane.before-gc-txn");
      const { committed } = await store.transact({
        compares: [fence.compare, { key: entry.key, modRevision: entry.modRevision }],
        operations: [after],
      });
      failpoint("controlplane.after-gc-txn");
      if (!committed) log.debug({ pack }, "another leader deletes the pack");
    } catch (error) {
      if (!this.#stopped) log.warn({ err: error, pack }, "pack could not be deleted yet");
      this.#plan(pack, isLast, RETRY_MS);
    }
  }

  async #deleteBlobs(pack: string): Promise<{ readonly count: number; readonly bytes: number }> {
    const { origin } = this.#options;
    let count = 0;
    let bytes = 0;
    const seal = await origin.head(sealKey(pack));
    if (seal !== undefined && (await origin.delete(seal.key))) {
      count += 1;
      bytes += seal.bytes;
    }
    for (;;) {
      const page = await origin.list(packPrefix(pack));
      for (let first = 0; first < page.blobs.length; first += AT_ONCE) {
        const some = page.blobs.slice(first, first + AT_ONCE);
        const done = await Promise.all(some.map(({ key }) => origin.delete(key)));
        failpoint("controlplane.mid-gc-delete");
        for (const [index, blob] of some.entries()) {
          if (done[index] !== true) continue;
          count += 1;
          bytes += blob.bytes;
        }
      }
      if (!page.more) return { count, bytes };
    }
  }
}
