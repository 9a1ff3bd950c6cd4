// A set of piece numbers as bits, with its count kept. Knows nothing of what the pieces are.
import { PIECES_MAX, PIECES_TARGET } from "../release/limits.ts";

/** Words that a usual pack fills: 1,024 pieces are 128 bytes. */
export const WORDS_USUAL = PIECES_TARGET / 32;

/** Holds pieces below PIECES_MAX (512 bytes); piece p is bit p%32, lowest first, of its word p/32. */
export class Bitfield {
  #words: Uint32Array;
  #first: number;
  #stride: number;
  #width = WORDS_USUAL;
  #count = 0;

  /** Its words are zeros in an array that it may share with others (`bit-rows.ts`): every `stride`th from `first` on. */
  constructor(words = new Uint32Array(WORDS_USUAL), first = 0, stride = 1) {
    this.#words = words;
    this.#first = first;
    this.#stride = stride;
  }

  /** Pieces in the set. */
  get count(): number {
    return this.#count;
  }

  /** A word of its bits, below `width`. */
  wordAt(word: number): number {
    return this.#words[this.#first + word * this.#stride] as number;
  }

  /** How many words it has. */
  get width(): number {
    return this.#width;
  }

  has(piece: number): boolean {
    const word = piece >>> 5;
    if (word >= this.#width) return false;
    return ((this.wordAt(word) >>> (piece & 31)) & 1) === 1;
  }

  /** Adds a piece; false when it was there, or is beyond PIECES_MAX. */
  add(piece: number): boolean {
    if (piece < 0 || piece >= PIECES_MAX) return false;
    if (piece >>> 5 >= this.#width) this.#grow();
    const word = this.#first + (piece >>> 5) * this.#stride;
    const bit = 1 << (piece & 31);
    const bits = this.#words[word] as number;
    if ((bits & bit) !== 0) return false;
    this.#words[word] = bits | bit;
    this.#count += 1;
    return true;
  }

  /** Takes a piece out; false when it was not there. */
  remove(piece: number): boolean {
    if (!this.has(piece)) return false;
    const word = this.#first + (piece >>> 5) * this.#stride;
    this.#words[word] = (this.#words[word] as number) & ~(1 << (piece & 31));
    this.#count -= 1;
    return true;
  }

  /** Takes all pieces out. */
  clear(): void {
    for (let word = 0; word < this.#width; word += 1) {
      this.#words[this.#first + word * this.#stride] = 0;
    }
    this.#count = 0;
  }

  /** The pieces in ascending order. */
  pieces(): number[] {
    const pieces: number[] = [];
    for (let word = 0; word < this.#width; word += 1) {
      for (let bits = this.wordAt(word); bits !== 0; bits &= bits - 1) {
        pieces.push(word * 32 + 31 - Math.clz32(bits & -bits));
      }
    }
    return pieces;
  }

  /** A copy of the bits, without zeros at the end: piece p is bit p%8, lowest first, of byte p/8. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#width * 4);
    for (let at = 0; at < bytes.length; at += 1) {
      bytes[at] = this.wordAt(at >> 2) >>> (8 * (at & 3));
    }
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end -= 1;
    return bytes.slice(0, end);
  }

  #grow(): void {
    const words = new Uint32Array(PIECES_MAX / 32);
    for (let word = 0; word < this.#width; word += 1) words[word] = this.wordAt(word);
    this.#words = words;
    this.#first = 0;
    this.#stride = 1;
    this.#width = words.length;
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
