// How many blocks may be on their way to all neighbours together. They wait in send buffers and before
// downlinks, where nothing can be put first any more, so their wait is kept short: few where the uplink
// is slow, more where it is fast. Long delays of the wire itself are no wait.
import { FLYING_BLOCKS, FLYING_BLOCKS_MIN, FLYING_MS } from "./limits.ts";

/** The least time rises by so much a block, so that a path that became longer is found out. */
const LEAST_RISE = 1.01;

export class Flight {
  #max = FLYING_BLOCKS;
  #meanMs = 0;
  #leastMs = Number.POSITIVE_INFINITY;

  /** Blocks that may be on their way beyond what the wire holds. */
  get max(): number {
    return this.#max;
  }

  /** A block was on its way for so long. */
  note(tookMs: number): void {
    this.#leastMs = Math.min(tookMs, this.#leastMs * LEAST_RISE);
    this.#meanMs = this.#meanMs === 0 ? tookMs : (7 * this.#meanMs + tookMs) / 8;
    const isLong = this.#meanMs - this.#leastMs > FLYING_MS;
    if (isLong) this.#max = Math.max(FLYING_BLOCKS_MIN, this.#max - 1);
    else this.#max = Math.min(FLYING_BLOCKS, this.#max + 1);
  }
}
