// A set of piece numbers as bits, with its count kept. Knows nothing of what the pieces are.
import { PIECES_MAX, PIECES_TARGET } from "../release/limits.ts";

/** Words that a usual pack fills: 1,024 pieces are 128 bytes. */
const WORDS_USUAL = PIECES_TARGET / 32;

/** Holds pieces below PIECES_MAX (512 bytes); piece p is bit p%32, lowest first, of word p/32. */
export class Bitfield {
  #words: Uint32Array;
  #count = 0;

  constructor() {
    this.#words = new Uint32Array(WORDS_USUAL);
  }

  /** Pieces in the set. */
  get count(): number {
    return this.#count;
  }

  /** The bits, to be read only; replaced when the set grows beyond them. */
  get words(): Uint32Array {
    return this.#words;
  }

  has(piece: number): boolean {
    const word = piece >>> 5;
    if (word >= this.#words.length) return false;
    return (((this.#words[word] ?? 0) >>> (piece & 31)) & 1) === 1;
  }

  /** Adds a piece; false when it was there, or is beyond PIECES_MAX. */
  add(piece: number): boolean {
    if (piece < 0 || piece >= PIECES_MAX) return false;
    const word = piece >>> 5;
    if (word >= this.#words.length) this.#grow();
    const bit = 1 << (piece & 31);
    const bits = this.#words[word] ?? 0;
    if ((bits & bit) !== 0) return false;
    this.#words[word] = bits | bit;
    this.#count += 1;
    return true;
  }

  /** Takes a piece out; false when it was not there. */
  remove(piece: number): boolean {
    if (!this.has(piece)) return false;
    const word = piece >>> 5;
    this.#words[word] = (this.#words[word] ?? 0) & ~(1 << (piece & 31));
    this.#count -= 1;
    return true;
  }

  /** The pieces in ascending order. */
  pieces(): number[] {
    const pieces: number[] = [];
    this.#words.forEach((word, index) => {
      for (let bits = word; bits !== 0; bits &= bits - 1) {
        pieces.push(index * 32 + 31 - Math.clz32(bits & -bits));
      }
    });
    return pieces;
  }

  /** A copy of the bits, without zeros at the end: piece p is bit p%8, lowest first, of byte p/8. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#words.length * 4);
    for (let at = 0; at < bytes.length; at += 1) {
      bytes[at] = (this.#words[at >> 2] ?? 0) >>> (8 * (at & 3));
    }
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end -= 1;
    return bytes.slice(0, end);
  }

  #grow(): void {
    const words = new Uint32Array(PIECES_MAX / 32);
    words.set(this.#words);
    this.#words = words;
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
