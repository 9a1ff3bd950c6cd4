// How many neighbours have each piece, or are settled with it: what is rare is known by this number. It has
// room for the pieces of a usual pack, and grows.
import { PIECES_TARGET } from "../release/limits.ts";

export class Spread {
  #counts = new Uint16Array(PIECES_TARGET);

  /** By piece; those beyond its end are 0. Not to be kept, as it may be another one later. */
  get counts(): Uint16Array {
    return this.#counts;
  }

  of(piece: number): number {
    return this.#counts[piece] ?? 0;
  }

  /** Adds to the number of a piece. */
  count(piece: number, change: number): void {
    while (piece >= this.#counts.length) this.#grow();
    this.#counts[piece] = (this.#counts[piece] as number) + change;
  }

  #grow(): void {
    const grown = new Uint16Array(2 * this.#counts.length);
    grown.set(this.#counts);
    this.#counts = grown;
  }
}
