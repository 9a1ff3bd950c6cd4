// One pack at one relay: its piece rows as they become known, its pieces in the region's store, and the
// relay's part in its swarm. When segments are copied is decided by core/fleet/mirror.ts.

import type { BlobStore } from "../runtime/blobs/blob-store.ts";
import type { Log } from "../runtime/log.ts";
import type { PieceStore } from "../runtime/peer/piece-store.ts";
import { SegmentPieceStore } from "../runtime/peer/segment-piece-store.ts";
import type { Introduction, Swarm } from "../runtime/peer/swarm.ts";
import { BackOff, pause } from "../runtime/program/back-off.ts";
import type { SegmentFooter } from "../runtime/release/segment-reader.ts";
import { footerOf } from "./copy-segment.ts";

const RETRY_MS_FIRST = 200;
const RETRY_MS_LAST = 5_000;

export interface PackRoomOptions {
  readonly pack: string;
  readonly origin: BlobStore;
  readonly region: BlobStore;
  readonly spool: string;
  readonly log: Log;
  readonly join: (pack: string, store: PieceStore) => Swarm;
  /** More rows are known, or that there will be no more. */
  readonly onRows: () => void;
  /** A segment has come from siblings' peers and is in the region's store. */
  readonly onSpooled: (segment: number) => void;
  readonly onError: (error: string) => void;
  /** Puts a segment's blob into the region's store anew, as it is at the origin. */
  readonly renew: (segment: number) => Promise<void>;
}

/** A pack while somebody needs it. */
export class PackRoom {
  readonly pack: string;
  readonly #options: PackRoomOptions;
  readonly #store: SegmentPieceStore;
  readonly #footers: SegmentFooter[] = [];
  readonly #stored = new Set<number>();
  readonly #wanted = new Set<number>();
  readonly #renewing = new Set<number>();
  readonly #left = new AbortController();
  readonly #working = new Set<Promise<void>>();
  readonly swarm: Swarm;
  #waiters: { count: number; resolve: () => void }[] = [];
  #rows: Buffer | undefined;
  #told = 0;
  #isSealed = false;
  #isLearning = false;

  constructor(options: PackRoomOptions) {
    this.#options = options;
    this.pack = options.pack;
    this.#store = new SegmentPieceStore({
      store: options.region,
      pack: options.pack,
      spool: options.spool,
      onSegmentWhole: (segment) => this.work(this.#putSpooled(segment)),
      onSegmentRotten: (segment) => this.#rotten(segment),
    });
    this.swarm = options.join(options.pack, this.#store);
  }

  /** Aborted when nobody needs the pack any more. */
  get signal(): AbortSignal {
    return this.#left.signal;
  }

  /** Footers of the first segments, as far as they are known without a gap. */
  get footers(): readonly SegmentFooter[] {
    return this.#footers;
  }

  /** Rows of these footers, 44 bytes each, back to back. */
  get rows(): Buffer {
    this.#rows ??= Buffer.concat(this.#footers.map(({ table }) => table.rows));
    return this.#rows;
  }

  /** All rows of the pack are known and no more will come. */
  get hasAllRows(): boolean {
    return this.#isSealed && this.#footers.length === this.#told;
  }

  /** Encoded bytes of the segments in the region's store. */
  get storedBytes(): number {
    let bytes = 0;
    for (const segment of this.#stored) {
      bytes += this.#footers[segment]?.table.encodedTotalBytes ?? 0;
    }
    return bytes;
  }

  /** The origin has so many segments; cumulative. */
  told(segments: number, sealed: boolean): void {
    this.#told = Math.max(this.#told, segments);
    this.#isSealed ||= sealed;
    if (!this.#isLearning) this.work(this.#learn());
  }

  /** A segment is in the region's store. */
  stored(segment: number): void {
    this.#stored.add(segment);
    if (segment < this.#footers.length) this.#serve(segment);
  }

  /** Gets a segment's pieces from siblings. */
  fetch(segment: number): void {
    this.#wanted.add(segment);
    if (segment < this.#footers.length) this.#want(segment);
  }

  introduce(siblings: readonly Introduction[]): void {
    this.swarm.introduce(siblings);
  }

  /** Resolves when the footers of the first `count` segments are known, or the room is left. */
  whenKnown(count: number): Promise<void> {
    if (this.#footers.length >= count || this.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ count, resolve }));
  }

  /** Has `leave` wait for the task. */
  work(task: Promise<void>): void {
    this.#working.add(task);
    void task.finally(() => this.#working.delete(task));
  }

  /** Leaves the swarm and ends what is under way; the region's store keeps what it has. */
  async leave(): Promise<void> {
    this.#left.abort();
    this.#wake();
    await this.swarm.leave();
    await Promise.all(this.#working);
    await this.#store.close();
  }

  /** Reads the footers in order, from the region where it has the segment already. */
  async #learn(): Promise<void> {
    this.#isLearning = true;
    const backOff = new BackOff(RETRY_MS_FIRST, RETRY_MS_LAST);
    while (this.#footers.length < this.#told && !this.signal.aborted) {
      const segment = this.#footers.length;
      try {
        const footer = await this.#read(segment);
        if (this.signal.aborted) break;
        this.#know(segment, footer);
        backOff.reset();
      } catch (error) {
        this.#options.onError((error as Error).message);
        await backOff.wait(this.signal);
      }
    }
    this.#isLearning = false;
    if (!this.signal.aborted) this.#options.onRows();
  }

  #read(segment: number): Promise<SegmentFooter> {
    const { origin, region, pack } = this.#options;
    return footerOf(this.#stored.has(segment) ? region : origin, pack, segment);
  }

  #know(segment: number, footer: SegmentFooter): void {
    if (footer.trailer.firstPiece !== this.#store.knownPieces) {
      const what = `begins with piece ${footer.trailer.firstPiece}`;
      throw new Error(`segment ${segment} of pack ${this.pack} ${what}, out of order`);
    }
    this.#store.addSegment(footer);
    this.swarm.extend(footer.table.rows);
    this.#footers.push(footer);
    this.#rows = undefined;
    if (this.#stored.has(segment)) this.#serve(segment);
    else if (this.#wanted.has(segment)) this.#want(segment);
    this.#wake();
    this.#options.onRows();
  }

  #wake(): void {
    const isDue = ({ count }: { count: number }) =>
      this.#footers.length >= count || this.signal.aborted;
    for (const { resolve } of this.#waiters.filter(isDue)) resolve();
    this.#waiters = this.#waiters.filter((waiter) => !isDue(waiter));
  }

  #serve(segment: number): void {
    for (const piece of this.#store.segmentStored(segment)) this.swarm.stored(piece);
  }

  #want(segment: number): void {
    const { firstPiece, pieceCount } = (this.#footers[segment] as SegmentFooter).trailer;
    this.swarm.want(Array.from({ length: pieceCount }, (_, index) => firstPiece + index));
  }

  #rotten(segment: number): void {
    if (this.#renewing.has(segment) || this.signal.aborted) return;
    this.#renewing.add(segment);
    this.work(this.#renew(segment).finally(() => this.#renewing.delete(segment)));
  }

  /** Puts a rotten segment anew; tries until it is stored or the room is left. */
  async #renew(segment: number): Promise<void> {
    const { log, renew, onError } = this.#options;
    log.error({ pack: this.pack, segment }, "a segment has rotted in the region's store");
    const backOff = new BackOff(RETRY_MS_FIRST, RETRY_MS_LAST);
    while (!this.signal.aborted) {
      try {
        await renew(segment);
        this.#store.segmentRenewed(segment);
        return;
      } catch (error) {
        onError((error as Error).message);
        await backOff.wait(this.signal);
      }
    }
  }

  /** Puts a segment whose pieces came from siblings; tries until it is stored or the room is left. */
  async #putSpooled(segment: number): Promise<void> {
    const { region, log, onSpooled, onError } = this.#options;
    const backOff = new BackOff(RETRY_MS_FIRST, RETRY_MS_LAST);
    while (!this.signal.aborted && !this.#stored.has(segment)) {
      const blob = this.#store.spooledBlob(segment);
      if (blob === undefined) return;
      try {
        await region.put(this.#store.keyOf(segment), blob);
        log.debug({ pack: this.pack, segment }, "stored a segment from siblings");
        onSpooled(segment);
        return;
      } catch (error) {
        onError((error as Error).message);
        await pause(backOff.next(), this.signal);
      }
    }
  }
}
