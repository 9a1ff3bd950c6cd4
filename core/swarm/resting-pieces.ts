// Pieces that a relay gave away a moment ago. Whoever got one passes it on, if given the time; a relay that
// gave it again at once would do the work of its agents, and most of a small pack would come from it.
import type { Instant } from "../machine.ts";
import { Bitfield } from "./bitfield.ts";
import { PASS_ON_MS } from "./limits.ts";

export class RestingPieces {
  readonly #pieces = new Bitfield();
  /** Oldest first. */
  readonly #since: { readonly piece: number; readonly at: Instant }[] = [];

  /** When the first of them has rested; Infinity: none rests. */
  get restedAt(): Instant {
    return (this.#since[0]?.at ?? Number.POSITIVE_INFINITY) + PASS_ON_MS;
  }

  has(piece: number): boolean {
    return this.#pieces.has(piece);
  }

  /** A piece was given: it rests; false when it rests already. */
  add(now: Instant, piece: number): boolean {
    if (!this.#pieces.add(piece)) return false;
    this.#since.push({ piece, at: now });
    return true;
  }

  /** Takes out those that have rested. */
  rested(now: Instant): number[] {
    const rested: number[] = [];
    while (this.restedAt <= now) {
      const { piece } = this.#since.shift() as { readonly piece: number };
      this.#pieces.remove(piece);
      rested.push(piece);
    }
    return rested;
  }
}
