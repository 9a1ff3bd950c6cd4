// Sets of pieces whose bits lie side by side: a machine has two for each neighbour that mostly change
// together, and finds them in a few long arrays sooner than in many short ones.
import { Bitfield, WORDS_USUAL } from "./bitfield.ts";

/** Pairs of one array: 8 of 256 bytes are 2 KiB; three hold what a usual peer has. */
const PAIRS = 8;

/** Two sets whose words take turns. */
type BitPair = readonly [Bitfield, Bitfield];

/** Lends a pair of sets to whom is at a place, and lends again what came back. */
export class BitRows {
  #words = new Uint32Array(0);
  #first = 0;
  readonly #free: BitPair[] = [];
  readonly #lent: (BitPair | undefined)[] = [];

  /** The first free place, and two empty sets. */
  take(): { readonly place: number; readonly sets: BitPair } {
    let place = 0;
    while (this.#lent[place] !== undefined) place += 1;
    const sets = this.#pair();
    this.#lent[place] = sets;
    return { place, sets };
  }

  /** Frees a place; nobody looks at its sets any more. */
  give(place: number): void {
    const sets = this.#lent[place];
    this.#lent[place] = undefined;
    if (sets === undefined) return;
    for (const field of sets) field.clear();
    this.#free.push(sets);
  }

  #pair(): BitPair {
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
}
