// How fast blocks come or go, and what follows: how many bytes are on the wire while it goes on like this
// (rate times delay: so many under way keep it full whatever the round trip is), and how long a block
// should be.
import type { Instant } from "../machine.ts";
import {
  BLOCK_BYTES_LONG,
  BLOCK_BYTES_SHORT,
  LONG_BLOCKS_RATE,
  SHORT_BLOCKS_RATE,
} from "./limits.ts";

/** Blocks over which rate and delay are averaged. */
const BLOCKS = 16;
/** After so many the mean is the wire's: a shaper lets the first ones pass at once. */
const SETTLED_BLOCKS = 4 * BLOCKS;

export class Pace {
  #lastAt: Instant = Number.NEGATIVE_INFINITY;
  /** Means of late: milliseconds between blocks, bytes of one, bytes on the wire. */
  #blockMs = 0;
  #blockBytes = 0;
  #pipeBytes = 0;
  #noted = 0;
  #isFast = false;

  /** Bytes on the wire. */
  get pipeBytes(): number {
    return this.#pipeBytes;
  }

  /** Bytes of a block: long ones cost less to handle, short ones keep a slow wire in order. */
  get blockBytes(): number {
    return this.#isFast ? BLOCK_BYTES_LONG : BLOCK_BYTES_SHORT;
  }

  /** Bytes of those that came or went of late. */
  get meanBytes(): number {
    return this.#blockBytes === 0 ? this.blockBytes : this.#blockBytes;
  }

  /** Blocks come or go fast enough for long ones, or did and are not slow yet. */
  get isFast(): boolean {
    return this.#isFast;
  }

  /** A block of so many bytes came or went, with a least delay of `delayMs`. */
  note(now: Instant, bytes: number, delayMs: number): void {
    const tookMs = now - this.#lastAt;
    this.#lastAt = now;
    // A pause of ours, or the time before the first, says nothing about the wire.
    const blockMs = Math.min(tookMs, delayMs + BLOCKS * this.#blockMs);
    this.#blockMs = this.#blockMs === 0 ? blockMs : mean(this.#blockMs, blockMs);
    this.#blockBytes = this.#blockBytes === 0 ? bytes : mean(this.#blockBytes, bytes);
    this.#noted += 1;
    const isKnown = this.#isFast && this.#noted > SETTLED_BLOCKS;
    const rate = isKnown ? SHORT_BLOCKS_RATE : LONG_BLOCKS_RATE;
    this.#isFast = this.#blockBytes > rate * this.#blockMs;
    if (this.#blockMs <= 0) return;
    // One block is not on the wire but leaves or arrives just now.
    const blocks = Math.max(0, delayMs / this.#blockMs - 1);
    this.#pipeBytes = mean(this.#pipeBytes, blocks * this.#blockBytes);
  }
}

function mean(before: number, value: number): number {
  return ((BLOCKS - 1) * before + value) / BLOCKS;
}
