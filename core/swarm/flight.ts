// How many bytes may be on their way to all neighbours together. They wait in send buffers and before
// downlinks, where nothing can be put first any more, so their wait is kept short: few blocks where the
// uplink is slow, more where it is fast, and beyond them what the wire holds.
import type { Instant } from "../machine.ts";
import {
  FLYING_BLOCKS,
  FLYING_BLOCKS_FIRST,
  FLYING_BLOCKS_LONG,
  FLYING_BLOCKS_ONE_IN,
  FLYING_BYTES,
  FLYING_BYTES_MIN,
  FLYING_MS,
  FLYING_MS_LONG,
  FLYING_PIPE_GAIN,
  PIPE_GAIN,
  SHORT_WAY_MS,
} from "./limits.ts";
import { Pace } from "./pace.ts";

/** The least time rises by so much of it in a millisecond, so that a path that became longer is found out. */
const LEAST_RISE = 0.02 / 1000;

export class Flight {
  readonly #pace = new Pace();
  #queueBytes = FLYING_BYTES;
  /** Blocks that may be on a short way. */
  #blocks = FLYING_BLOCKS_FIRST;
  #notedAt: Instant = 0;
  #meanMs = 0;
  #leastMs = Number.POSITIVE_INFINITY;

  /** With so many on their way the next block waits here, where another may still go before it. */
  get fullBytes(): number {
    const isLong = Number.isFinite(this.#leastMs) && this.#leastMs > SHORT_WAY_MS;
    const blocks = isLong ? this.#blocksMax : Math.min(this.#blocks, this.#blocksMax);
    return (
      blocks * (isLong ? this.blockBytes : this.#leavingBytes) + FLYING_PIPE_GAIN * this.pipeBytes
    );
  }

  /**
   * Bytes of a block as they leave now. What was asked for before the wire had shown that it is fast are short blocks,
   * and many of those at once go to all neighbours together, so that none has a piece to pass on for long.
   */
  get #leavingBytes(): number {
    const { meanBytes, blockBytes } = this.#pace;
    return 2 * meanBytes < blockBytes ? meanBytes : blockBytes;
  }

  get #blocksMax(): number {
    return this.isFast ? FLYING_BLOCKS_LONG : FLYING_BLOCKS;
  }

  /** Bytes that may be queued or on their way: no more is offered then. */
  get maxBytes(): number {
    return this.#queueBytes + PIPE_GAIN * this.pipeBytes;
  }

  /** So many are enough to keep the wire full, where they do not have to be ready for anything. */
  get enoughBytes(): number {
    return FLYING_BYTES_MIN + PIPE_GAIN * this.pipeBytes;
  }

  /** The least time that a block was on its way of late. */
  get leastMs(): number {
    return this.#leastMs;
  }

  /** Bytes that the wire holds, there and back. */
  get pipeBytes(): number {
    return this.#pace.pipeBytes;
  }

  /** Bytes of a block at the rate at which they leave. */
  get blockBytes(): number {
    return this.#pace.blockBytes;
  }

  /** Blocks leave fast enough for long ones. */
  get isFast(): boolean {
    return this.#pace.isFast;
  }

  /** A block of so many bytes was on its way for so long. */
  note(now: Instant, bytes: number, tookMs: number): void {
    const raised = this.#leastMs * (1 + LEAST_RISE * (now - this.#notedAt));
    this.#leastMs = Math.min(tookMs, raised);
    this.#notedAt = now;
    this.#blocks = Math.min(FLYING_BLOCKS, this.#blocks + 1 / FLYING_BLOCKS_ONE_IN);
    this.#meanMs = this.#meanMs === 0 ? tookMs : (7 * this.#meanMs + tookMs) / 8;
    this.#pace.note(now, bytes, this.#leastMs);
    const { isFast } = this.#pace;
    const waitMsMax = isFast ? FLYING_MS_LONG : FLYING_MS;
    const isLong = this.#meanMs - this.#leastMs > waitMsMax;
    const change = isLong ? -bytes : bytes;
    this.#queueBytes = Math.min(
      FLYING_BYTES,
      Math.max(FLYING_BYTES_MIN, this.#queueBytes + change),
    );
  }
}
