// Pieces that wait for a source, in an order that chance gave them, so that peers with the same needs
// do not all ask for the same piece.
import { PIECES_MAX } from "../release/limits.ts";
import type { Random } from "./random.ts";

/** A set of pieces in random order; every operation but the walk is O(1). */
export class PieceBag {
  readonly #random: Random;
  readonly #pieces: number[] = [];
  readonly #places = new Int16Array(PIECES_MAX).fill(-1);

  constructor(random: Random) {
    this.#random = random;
  }

  get count(): number {
    return this.#pieces.length;
  }

  has(piece: number): boolean {
    return (this.#places[piece] ?? -1) >= 0;
  }

  /** Adds a piece at a random place. */
  add(piece: number): void {
    if (this.has(piece)) return;
    this.#put(piece, this.#pieces.length);
    this.#swap(Math.floor(this.#random() * this.#pieces.length), this.#pieces.length - 1);
  }

  remove(piece: number): void {
    if (!this.has(piece)) return;
    this.#swap(this.#places[piece] ?? 0, this.#pieces.length - 1);
    this.#pieces.pop();
    this.#places[piece] = -1;
  }

  /** The pieces in their random order; the bag may not change during the walk. */
  values(): readonly number[] {
    return this.#pieces;
  }

  #swap(a: number, b: number): void {
    const first = this.#pieces[a] ?? 0;
    const second = this.#pieces[b] ?? 0;
    this.#put(second, a);
    this.#put(first, b);
  }

  #put(piece: number, place: number): void {
    this.#pieces[place] = piece;
    this.#places[piece] = place;
  }
}
