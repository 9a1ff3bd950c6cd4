// A set of piece numbers as bits, with its count kept. Knows nothing of what the pieces are.

/** Grows as pieces are added; piece p is bit p%8 (lowest first) of byte p/8. */
export class Bitfield {
  #bytes: Uint8Array;
  #count = 0;

  constructor(capacity = 0) {
    this.#bytes = new Uint8Array(Math.ceil(capacity / 8));
  }

  /** Takes the bits of a message; bits beyond `limit` are dropped, so a peer cannot make it grow. */
  static fromBytes(bytes: Uint8Array, limit: number): Bitfield {
    const field = new Bitfield(Math.min(limit, bytes.length * 8));
    for (let piece = 0; piece < Math.min(limit, bytes.length * 8); piece++) {
      if (((bytes[piece >> 3] ?? 0) >> (piece & 7)) & 1) field.add(piece);
    }
    return field;
  }

  /** Pieces in the set. */
  get count(): number {
    return this.#count;
  }

  has(piece: number): boolean {
    return (((this.#bytes[piece >> 3] ?? 0) >> (piece & 7)) & 1) === 1;
  }

  /** Adds a piece; false when it was there. */
  add(piece: number): boolean {
    if (this.has(piece)) return false;
    const index = piece >> 3;
    if (index >= this.#bytes.length) {
      const grown = new Uint8Array(Math.max(index + 1, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes[index] = (this.#bytes[index] ?? 0) | (1 << (piece & 7));
    this.#count++;
    return true;
  }

  /** Takes a piece out; false when it was not there. */
  remove(piece: number): boolean {
    if (!this.has(piece)) return false;
    const index = piece >> 3;
    this.#bytes[index] = (this.#bytes[index] ?? 0) & ~(1 << (piece & 7));
    this.#count--;
    return true;
  }

  /** The pieces in ascending order. */
  *pieces(): Generator<number> {
    for (let index = 0; index < this.#bytes.length; index++) {
      const byte = this.#bytes[index] ?? 0;
      if (byte === 0) continue;
      for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) yield index * 8 + bit;
    }
  }

  /** A copy of the bits for pieces below `limit`. */
  toBytes(limit: number): Uint8Array {
    return this.#bytes.slice(0, Math.ceil(limit / 8));
  }
}
