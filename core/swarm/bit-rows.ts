// Sets of pieces whose bits lie side by side: a machine has two for each neighbour that mostly change
// together, and finds them in a few long arrays sooner than in many short ones.
import { Bitfield, WORDS_USUAL } from "./bitfield.ts";

/** Pairs of one array: 16 of 256 bytes are 4 KiB, a page. */
const PAIRS = 16;

/** Two sets whose words take turns. */
export type BitPair = readonly [Bitfield, Bitfield];

/** Lends pairs of sets, and lends again what came back. */
export class BitRows {
  #words = new Uint32Array(0);
  #first = 0;
  readonly #free: BitPair[] = [];

  /** Two empty sets. */
  take(): BitPair {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#first === this.#words.length) {
      this.#words = new Uint32Array(PAIRS * 2 * WORDS_USUAL);
      this.#first = 0;
    }
    const first = this.#first;
    this.#first += 2 * WORDS_USUAL;
    return [new Bitfield(this.#words, first, 2), new Bitfield(this.#words, first + 1, 2)];
  }

  /** Sets that nobody looks at any more. */
  give(pair: BitPair): void {
    for (const field of pair) field.clear();
    this.#free.push(pair);
  }
}
