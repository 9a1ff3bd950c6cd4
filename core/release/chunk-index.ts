// Finds a chunk's row by its digest among up to 2M, in one sorted typed array: no object a chunk, and
// 16 MiB for 2M rows. It keeps 43 bits of the digest; the caller compares the whole digest of a hit.
import { DIGEST_BYTES } from "./limits.ts";

/** Rows that fit in 21 bits. */
export const INDEX_ROWS_MAX = 2 ** 21;
const ROW_BITS = 21;
const ROW_MASK = INDEX_ROWS_MAX - 1;
/** Buckets by the first 16 bits: 2M rows leave 32 in each, five steps of the search. */
const BUCKET_BITS = 16;

/** Digests by value. A word is 43 bits of digest (the highest first), then 21 bits of row. */
export class ChunkIndex {
  /** Words as pairs of u32, the low half first (little endian, as every machine Node runs on). */
  readonly #halves: Uint32Array;
  readonly #buckets = new Uint32Array(2 ** BUCKET_BITS + 1);
  readonly count: number;

  /**
   * Indexes `count` digests, one each `strideBytes`; their rows are 0 and up. Their first 8 bytes are
   * all that is looked at, so the beginnings will do.
   */
  constructor(
    digests: Uint8Array,
    count = digests.length / DIGEST_BYTES,
    strideBytes = DIGEST_BYTES,
  ) {
    if (count > INDEX_ROWS_MAX) throw new RangeError(`${count} rows, at most ${INDEX_ROWS_MAX}`);
    const words = new BigUint64Array(count);
    this.count = count;
    this.#halves = new Uint32Array(words.buffer);
    for (let row = 0; row < count; row += 1) {
      this.#halves[2 * row] = lowHalf(digests, row * strideBytes, row);
      this.#halves[2 * row + 1] = highHalf(digests, row * strideBytes);
    }
    words.sort();
    for (let i = 0; i < count; i += 1) {
      const bucket = (this.#halves[2 * i + 1] as number) >>> (32 - BUCKET_BITS);
      this.#buckets[bucket + 1] = i + 1;
    }
    for (let bucket = 1; bucket < this.#buckets.length; bucket += 1) {
      const before = this.#buckets[bucket - 1] as number;
      if ((this.#buckets[bucket] as number) < before) this.#buckets[bucket] = before;
    }
  }

  /**
   * Position of the first word that may be the digest at `offset`, or -1. Its row is `rowAt`; when
   * the whole digest differs, `after` gives the next. Equal digests come in the order of their rows.
   */
  find(digests: Uint8Array, offset: number): number {
    const high = highHalf(digests, offset);
    const low = lowHalf(digests, offset, 0);
    const bucket = high >>> (32 - BUCKET_BITS);
    let from = this.#buckets[bucket] as number;
    const end = this.#buckets[bucket + 1] as number;
    let to = end;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const word = this.#halves[2 * middle + 1] as number;
      if (word < high || (word === high && (this.#halves[2 * middle] as number) < low)) {
        from = middle + 1;
      } else to = middle;
    }
    return from < end && this.#matches(from, high, low) ? from : -1;
  }

  /** The next position with the same 43 bits, or -1. */
  after(position: number): number {
    const next = position + 1;
    if (next >= this.count) return -1;
    const high = this.#halves[2 * position + 1] as number;
    const low = ((this.#halves[2 * position] as number) & ~ROW_MASK) >>> 0;
    return this.#matches(next, high, low) ? next : -1;
  }

  /** The row of the word at the position. */
  rowAt(position: number): number {
    return (this.#halves[2 * position] as number) & ROW_MASK;
  }

  /** First row whose whole digest, in `rows`, equals the one at `offset` of `digests`; or -1. */
  rowOf(rows: Uint8Array, digests: Uint8Array, offset: number): number {
    for (let at = this.find(digests, offset); at !== -1; at = this.after(at)) {
      const row = this.rowAt(at);
      if (digestsEqual(rows, row * DIGEST_BYTES, digests, offset)) return row;
    }
    return -1;
  }

  /**
   * Calls `found` with each pair of rows of the two indexes whose 43 bits agree: one pass over both,
   * 2M against 2M in well under a second. The caller compares the digests.
   */
  join(other: ChunkIndex, found: (row: number, otherRow: number) => void): void {
    let mine = 0;
    let theirs = 0;
    while (mine < this.count && theirs < other.count) {
      const order = this.#compare(mine, other, theirs);
      if (order < 0) mine += 1;
      else if (order > 0) theirs += 1;
      else {
        let at = theirs;
        for (; at < other.count && this.#compare(mine, other, at) === 0; at += 1) {
          found(this.rowAt(mine), other.rowAt(at));
        }
        mine += 1;
      }
    }
  }

  #compare(mine: number, other: ChunkIndex, theirs: number): number {
    const high = (this.#halves[2 * mine + 1] as number) - (other.#halves[2 * theirs + 1] as number);
    if (high !== 0) return high;
    return (
      ((this.#halves[2 * mine] as number) >>> ROW_BITS) -
      ((other.#halves[2 * theirs] as number) >>> ROW_BITS)
    );
  }

  #matches(position: number, high: number, low: number): boolean {
    return (
      this.#halves[2 * position + 1] === high &&
      (((this.#halves[2 * position] as number) ^ low) & ~ROW_MASK) === 0
    );
  }
}

/** Whether the 32 bytes at the two offsets are equal. */
export function digestsEqual(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): boolean {
  for (let i = 0; i < DIGEST_BYTES; i += 1) {
    if (a[aAt + i] !== b[bAt + i]) return false;
  }
  return true;
}

function highHalf(digests: Uint8Array, at: number): number {
  const word =
    ((digests[at] as number) << 24) |
    ((digests[at + 1] as number) << 16) |
    ((digests[at + 2] as number) << 8) |
    (digests[at + 3] as number);
  return word >>> 0;
}

function lowHalf(digests: Uint8Array, at: number, row: number): number {
  const bits = ((digests[at + 4] as number) << 3) | ((digests[at + 5] as number) >>> 5);
  return ((bits << ROW_BITS) | row) >>> 0;
}
