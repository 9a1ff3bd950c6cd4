// Which packs each region holds, by what its relays say. Relays of a region share one store, so what one
// reports whole is whole there. A checkpoint in the store lets a restart know what was known.
import type { PackReplica } from "../../proto/gen/millrace/v1/fleet.ts";
import type { Log } from "../../runtime/log.ts";
import { type Store, scan } from "../../runtime/store/store.ts";
import { transactionsOf } from "../../runtime/store/transaction-parts.ts";
import type { Fence } from "../fence.ts";
import { encodeRegion, parseRegion, REGIONS_PREFIX, regionKey } from "./region-row.ts";

/** Checkpoints are written at most so often, those of all regions together. */
const CHECKPOINT_MS = 1_000;

interface RegionState {
  /** Whole packs by the checkpoint, until a relay of this run says something of them. */
  readonly before: Map<string, number>;
  /** By pack and relay. */
  readonly replicas: Map<string, Map<string, PackReplica>>;
  written: string;
}

export interface TrackerOptions {
  readonly store: Store;
  readonly fence: Fence;
  readonly log: Log;
  /** Some region holds more, or less, than before. */
  readonly onChange: () => void;
}

export class ReplicationTracker {
  readonly #options: TrackerOptions;
  readonly #regions = new Map<string, RegionState>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: TrackerOptions) {
    this.#options = options;
  }

  /** Reads the checkpoints. */
  async load(): Promise<void> {
    for await (const entry of scan(this.#options.store, REGIONS_PREFIX)) {
      const state = this.#of(entry.key.slice(REGIONS_PREFIX.length));
      for (const { pack, bytes } of parseRegion(entry).whole) state.before.set(pack, bytes);
    }
  }

  /** A relay says what its region holds. */
  reported(relay: string, region: string, packs: readonly PackReplica[]): void {
    const state = this.#of(region);
    let isChanged = false;
    for (const replica of packs) {
      const wasWhole = isWhole(state, replica.pack);
      const byRelay = state.replicas.get(replica.pack) ?? new Map<string, PackReplica>();
      state.replicas.set(replica.pack, byRelay.set(relay, replica));
      state.before.delete(replica.pack);
      isChanged ||= wasWhole !== isWhole(state, replica.pack);
    }
    if (!isChanged) return;
    this.#checkpointSoon();
    this.#options.onChange();
  }

  /** Nobody needs the pack any more. */
  dropped(pack: string): void {
    for (const state of this.#regions.values()) {
      const was = state.replicas.delete(pack);
      if (state.before.delete(pack) || was) this.#checkpointSoon();
    }
  }

  /** Whether the region holds the pack whole. */
  isWhole(region: string, pack: string): boolean {
    const state = this.#regions.get(region);
    return state !== undefined && isWhole(state, pack);
  }

  /** Encoded bytes of the pack that lie in the region. */
  bytes(region: string, pack: string): number {
    const state = this.#regions.get(region);
    const said = [...(state?.replicas.get(pack)?.values() ?? [])].map(({ bytes }) => bytes);
    return Math.max(state?.before.get(pack) ?? 0, ...said);
  }

  /** What keeps a pack from a region, in the relays' words; empty: nothing. */
  error(region: string, pack: string): string {
    const replicas = this.#regions.get(region)?.replicas.get(pack)?.values() ?? [];
    return [...replicas].find(({ error }) => error !== "")?.error ?? "";
  }

  /** Packs and bytes that a region holds whole. */
  sum(region: string): { readonly packs: number; readonly bytes: number } {
    const state = this.#regions.get(region);
    const whole = state === undefined ? [] : wholePacks(state);
    return { packs: whole.length, bytes: whole.reduce((sum, { bytes }) => sum + bytes, 0) };
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #of(region: string): RegionState {
    const known = this.#regions.get(region);
    if (known !== undefined) return known;
    const state = { before: new Map(), replicas: new Map(), written: "" };
    this.#regions.set(region, state);
    return state;
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
    const changed = [...this.#regions].flatMap(([region, state]) => {
      const value = encodeRegion({ whole: wholePacks(state) });
      const text = new TextDecoder().decode(value);
      const part = { state, text, put: regionKey(region), value };
      return text === state.written ? [] : [{ ...part, operations: 1, bytes: value.length }];
    });
    try {
      for (const group of transactionsOf(changed)) {
        const operations = group.map(({ put, value }) => ({ put, value }));
        const result = await store.transact({ compares: [fence.compare], operations });
        if (!result.committed) return;
        for (const { state, text } of group) state.written = text;
      }
    } catch (error) {
      // Only a restart reads it, and relays say it again; the next change tries again.
      log.warn({ err: error }, "checkpoints of regions not written");
    }
  }
}

function isWhole(state: RegionState, pack: string): boolean {
  const said = state.replicas.get(pack);
  if (said === undefined) return state.before.has(pack);
  return [...said.values()].some(({ whole }) => whole);
}

function wholePacks(state: RegionState): { pack: string; bytes: number }[] {
  const whole = [...state.before].map(([pack, bytes]) => ({ pack, bytes }));
  for (const [pack, byRelay] of state.replicas) {
    const said = [...byRelay.values()].filter((replica) => replica.whole);
    if (said.length > 0) whole.push({ pack, bytes: Math.max(...said.map(({ bytes }) => bytes)) });
  }
  return whole.sort((a, b) => (a.pack < b.pack ? -1 : 1));
}
