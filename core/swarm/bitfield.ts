// A set of piece numbers as bits, with its count kept. Knows nothing of what the pieces are.
import { PIECES_MAX } from "../release/limits.ts";

/** Holds pieces below PIECES_MAX (512 bytes); piece p is bit p%8, lowest first, of byte p/8. */
export class Bitfield {
  readonly #bytes = new Uint8Array(PIECES_MAX / 8);
  #count = 0;

  /** Pieces in the set. */
  get count(): number {
    return this.#count;
  }

  has(piece: number): boolean {
    return (((this.#bytes[piece >> 3] ?? 0) >> (piece & 7)) & 1) === 1;
  }

  /** Adds a piece; false when it was there, or is beyond PIECES_MAX. */
  add(piece: number): boolean {
    if (piece < 0 || piece >= PIECES_MAX || this.has(piece)) return false;
    this.#bytes[piece >> 3] = (this.#bytes[piece >> 3] ?? 0) | (1 << (piece & 7));
    this.#count += 1;
    return true;
  }

  /** Takes a piece out; false when it was not there. */
  remove(piece: number): boolean {
    if (!this.has(piece)) return false;
    this.#bytes[piece >> 3] = (this.#bytes[piece >> 3] ?? 0) & ~(1 << (piece & 7));
    this.#count -= 1;
    return true;
  }

  /** The pieces in ascending order. */
  pieces(): number[] {
    return piecesOf(this.#bytes);
  }

  /** A copy of the bits, without zeros at the end. */
  toBytes(): Uint8Array {
    let end = this.#bytes.length;
    while (end > 0 && this.#bytes[end - 1] === 0) end -= 1;
    return this.#bytes.slice(0, end);
  }
}

/** The pieces whose bits are set, in ascending order. */
export function piecesOf(bits: Uint8Array): number[] {
  const pieces: number[] = [];
  for (let index = 0; index < bits.length; index += 1) {
    const byte = bits[index] ?? 0;
    for (let bit = 0; byte >> bit !== 0; bit += 1) {
      if ((byte >> bit) & 1) pieces.push(index * 8 + bit);
    }
  }
  return pieces;
}
