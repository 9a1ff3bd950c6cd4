// Sets of pieces whose bits lie side by side: a machine has several for each neighbour, and finds them in
// a few long arrays sooner than in many short ones.
import { Bitfield, WORDS_USUAL } from "./bitfield.ts";

/** Sets of one array: 32 of 128 bytes are 4 KiB, a page. */
const ROWS = 32;

/** Lends sets, and lends again what came back. */
export class BitRows {
  #words = new Uint32Array(0);
  #first = 0;
  readonly #free: Bitfield[] = [];

  /** An empty set. */
  take(): Bitfield {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#first === this.#words.length) {
      this.#words = new Uint32Array(ROWS * WORDS_USUAL);
      this.#first = 0;
    }
    const field = new Bitfield(this.#words, this.#first);
    this.#first += WORDS_USUAL;
    return field;
  }

  /** A set that nobody looks at any more. */
  give(field: Bitfield): void {
    field.clear();
    this.#free.push(field);
  }
}
