// Which packs each region holds (core/fleet/replicas.ts), with a checkpoint in the store that lets a restart know
// what was known.
import { Replicas } from "../../core/fleet/replicas.ts";
import type { PackReplica } from "../../proto/gen/millrace/v1/fleet.ts";
import type { Log } from "../../runtime/log.ts";
import { type Store, scan } from "../../runtime/store/store.ts";
import { transactionsOf } from "../../runtime/store/transaction-parts.ts";
import type { Fence } from "../fence.ts";
import { encodeRegion, parseRegion, REGIONS_PREFIX, regionKey } from "./region-row.ts";

/** Checkpoints are written at most so often, those of all regions together. */
const CHECKPOINT_MS = 1_000;

export interface TrackerOptions {
  readonly store: Store;
  readonly fence: Fence;
  readonly log: Log;
  /** Some region holds more, or less, than before. */
  readonly onChange: () => void;
}

export class ReplicationTracker {
  readonly #options: TrackerOptions;
  readonly #replicas = new Replicas();
  /** By region, as last written. */
  readonly #written = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: TrackerOptions) {
    this.#options = options;
  }

  /** Reads the checkpoints. */
  async load(): Promise<void> {
    for await (const entry of scan(this.#options.store, REGIONS_PREFIX)) {
      const region = entry.key.slice(REGIONS_PREFIX.length);
      this.#replicas.restored(region, parseRegion(entry).whole);
    }
  }

  /** A relay says what its region holds. */
  reported(relay: string, region: string, packs: readonly PackReplica[]): void {
    if (!this.#replicas.reported(relay, region, packs)) return;
    this.#checkpointSoon();
    this.#options.onChange();
  }

  /** Nobody needs the pack any more. */
  dropped(pack: string): void {
    if (this.#replicas.dropped(pack)) this.#checkpointSoon();
  }

  /** Whether the region holds the pack whole. */
  isWhole(region: string, pack: string): boolean {
    return this.#replicas.isWhole(region, pack);
  }

  /** Encoded bytes of the pack that lie in the region. */
  bytes(region: string, pack: string): number {
    return this.#replicas.bytes(region, pack);
  }

  /** What keeps a pack from a region, in the relays' words; empty: nothing. */
  error(region: string, pack: string): string {
    return this.#replicas.error(region, pack);
  }

  /** Packs and bytes that a region holds whole. */
  sum(region: string): { readonly packs: number; readonly bytes: number } {
    const whole = this.#replicas.whole(region);
    return { packs: whole.length, bytes: whole.reduce((sum, { bytes }) => sum + bytes, 0) };
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #checkpointSoon(): void {
    if (this.#isClosed) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#checkpoint();
    }, CHECKPOINT_MS);
  }

  /** Writes the regions that have changed. */
  async #checkpoint(): Promise<void> {
    const { store, fence, log } = this.#options;
    const changed = [...this.#replicas.regions].flatMap((region) => {
      const value = encodeRegion({ whole: [...this.#replicas.whole(region)] });
      const text = new TextDecoder().decode(value);
      const part = { region, text, put: regionKey(region), value };
      return text === this.#written.get(region)
        ? []
        : [{ ...part, operations: 1, bytes: value.length }];
    });
    try {
      for (const group of transactionsOf(changed)) {
        const operations = group.map(({ put, value }) => ({ put, value }));
        const result = await store.transact({ compares: [fence.compare], operations });
        if (!result.committed) return;
        for (const { region, text } of group) this.#written.set(region, text);
      }
    } catch (error) {
      // Only a restart reads it, and relays say it again; the next change tries again.
      log.warn({ err: error }, "checkpoints of regions not written");
    }
  }
}
