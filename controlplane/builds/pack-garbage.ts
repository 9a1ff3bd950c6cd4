// Deletes the packs of attempts that ended without a release. The mark is put by the transaction that
// ends the attempt; the blobs go at once, and once more later, because a worker that was just fenced
// may still have stored a segment. What fails is tried again.
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import type { Log } from "../../runtime/log.ts";
import { packPrefix } from "../../runtime/release/pack-keys.ts";
import { type Store, scan, type Watch } from "../../runtime/store/store.ts";
import type { Fence } from "../fence.ts";
import { GARBAGE, garbageKey } from "./build-keys.ts";

/** A worker that is fenced stops with its next heartbeat, and a segment takes seconds to store. */
const AGAIN_MS = 60_000;
/** Wait before what failed is tried again. */
const RETRY_MS = 30_000;

export interface PackGarbageOptions {
  readonly store: Store;
  readonly fence: Fence;
  readonly origin: BlobStore;
  readonly log: Log;
}

/** The collector of one leader. */
export class PackGarbage {
  readonly #options: PackGarbageOptions;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #running = new Set<Promise<void>>();
  #watch: Watch | undefined;
  #anew: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: PackGarbageOptions) {
    this.#options = options;
  }

  /** Goes on with the packs that are marked, and follows new marks. */
  async start(): Promise<void> {
    const { store } = this.#options;
    this.#watch?.close();
    this.#watch = await store.watch(
      { prefix: GARBAGE },
      (events) => {
        for (const { type, entry } of events) {
          if (type === "put") this.#plan(entry.key.slice(GARBAGE.length), false, 0);
        }
      },
      () => this.#startAnew(),
    );
    if (this.#stopped) this.#watch.close();
    for await (const { key } of scan(store, GARBAGE)) {
      this.#plan(key.slice(GARBAGE.length), false, 0);
    }
  }

  /** The watch is over because history was compacted; what it missed is marked still. */
  #startAnew(): void {
    if (this.#stopped) return;
    this.start().catch((error: unknown) => {
      this.#options.log.warn({ err: error }, "marked packs could not be read yet");
      this.#anew = setTimeout(() => this.#startAnew(), RETRY_MS);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#anew);
    this.#watch?.close();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.all(this.#running);
  }

  #plan(pack: string, isLast: boolean, delayMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timers.get(pack));
    const timer = setTimeout(() => {
      const work = this.#collect(pack, isLast).finally(() => this.#running.delete(work));
      this.#running.add(work);
    }, delayMs);
    this.#timers.set(pack, timer);
  }

  async #collect(pack: string, isLast: boolean): Promise<void> {
    const { store, fence, log } = this.#options;
    try {
      const count = await this.#deleteBlobs(pack);
      if (count > 0) log.info({ pack, count }, "deleted the pack of an attempt without a release");
      if (!isLast) return this.#plan(pack, true, AGAIN_MS);
      const operations = [{ delete: garbageKey(pack) }];
      const { committed } = await store.transact({ compares: [fence.compare], operations });
      if (!committed) log.debug({ pack }, "another leader deletes the pack");
      this.#timers.delete(pack);
    } catch (error) {
      if (!this.#stopped) log.warn({ err: error, pack }, "pack could not be deleted yet");
      this.#plan(pack, isLast, RETRY_MS);
    }
  }

  async #deleteBlobs(pack: string): Promise<number> {
    const { origin } = this.#options;
    let count = 0;
    for (;;) {
      const page = await origin.list(packPrefix(pack));
      for (const { key } of page.blobs) count += (await origin.delete(key)) ? 1 : 0;
      if (!page.more) return count;
    }
  }
}
