// How many blocks may be on their way to all neighbours together. They wait in send buffers and before
// downlinks, where nothing can be put first any more, so their wait is kept short: few where the uplink
// is slow, more where it is fast, and beyond them what the wire holds.
import type { Instant } from "../machine.ts";
import { FLYING_BLOCKS, FLYING_BLOCKS_MIN, FLYING_MS, PIPE_GAIN } from "./limits.ts";
import { Pace } from "./pace.ts";

/** The least time rises by so much of it in a millisecond, so that a path that became longer is found out. */
const LEAST_RISE = 0.02 / 1000;

export class Flight {
  readonly #pace = new Pace();
  #queueMax = FLYING_BLOCKS;
  #notedAt: Instant = 0;
  #meanMs = 0;
  #leastMs = Number.POSITIVE_INFINITY;

  /** Blocks that may be on their way. */
  get max(): number {
    return this.#queueMax + PIPE_GAIN * this.pipe;
  }

  /** Blocks that the wire holds, there and back. */
  get pipe(): number {
    return this.#pace.pipe;
  }

  /** A block was on its way for so long. */
  note(now: Instant, tookMs: number): void {
    const raised = this.#leastMs * (1 + LEAST_RISE * (now - this.#notedAt));
    this.#leastMs = Math.min(tookMs, raised);
    this.#notedAt = now;
    this.#meanMs = this.#meanMs === 0 ? tookMs : (7 * this.#meanMs + tookMs) / 8;
    this.#pace.note(now, this.#leastMs);
    const isLong = this.#meanMs - this.#leastMs > FLYING_MS;
    if (isLong) this.#queueMax = Math.max(FLYING_BLOCKS_MIN, this.#queueMax - 1);
    else this.#queueMax = Math.min(FLYING_BLOCKS, this.#queueMax + 1);
  }
}
