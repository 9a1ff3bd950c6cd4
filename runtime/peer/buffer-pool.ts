// Buffers of one block each, used again and again: payload arrives in one and leaves from one, so the
// memory of a peer is what is under way, not what has passed.
import { BLOCK_BYTES_MAX } from "../../core/swarm/limits.ts";

/** Buffers kept when idle: 32 x 384 KiB is 12 MiB; more than that in use is freed when given back. */
const KEPT_MAX = 32;

export class BufferPool {
  readonly #free: Buffer[] = [];
  #taken = 0;

  /** Buffers in use now. */
  get taken(): number {
    return this.#taken;
  }

  /** A buffer of BLOCK_BYTES_MAX bytes with any content. */
  take(): Buffer {
    this.#taken += 1;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES_MAX);
  }

  /** Gives back what `take` gave; nobody may look at it any more. */
  give(buffer: Buffer): void {
    this.#taken -= 1;
    if (this.#free.length < KEPT_MAX) this.#free.push(buffer);
  }
}
