// How many blocks are on the wire while a peer receives as fast as it does: rate times delay. Asking for
// so many keeps the wire full whatever the round trip is; a few more find out whether it holds more.
import type { Instant } from "../machine.ts";

/** Blocks over which rate and delay are averaged. */
const BLOCKS = 16;

export class Pace {
  #lastAt: Instant | undefined;
  #blockMs = 0;
  #pipe = 0;

  /** Blocks on the wire. */
  get pipe(): number {
    return this.#pipe;
  }

  /** A block came whose sender's least delay is `delayMs`. */
  note(now: Instant, delayMs: number): void {
    const tookMs = now - (this.#lastAt ?? now - delayMs);
    this.#lastAt = now;
    // A pause of ours says nothing about the wire.
    const blockMs = Math.min(tookMs, delayMs + BLOCKS * this.#blockMs);
    this.#blockMs =
      this.#blockMs === 0 ? blockMs : ((BLOCKS - 1) * this.#blockMs + blockMs) / BLOCKS;
    if (this.#blockMs <= 0) return;
    // One block is not on the wire but leaves or arrives just now.
    const pipe = Math.max(0, delayMs / this.#blockMs - 1);
    this.#pipe = ((BLOCKS - 1) * this.#pipe + pipe) / BLOCKS;
  }
}
