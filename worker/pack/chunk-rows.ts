// The chunk rows of the release that is being packed: what each chunk is and where it lies. Typed
// arrays in blocks (39 bytes a row: 78 MB for 2M) that never move, and a hash table that finds a
// chunk that came before.
import { digestsEqual } from "../../core/release/chunk-index.ts";
import type { ChunkPlace } from "../../core/release/layout-row.ts";
import { CHUNKS_MAX, DIGEST_BYTES } from "../../core/release/limits.ts";

/** Rows of a block, as a power of two. */
const BLOCK_BITS = 16;
const BLOCK_ROWS = 2 ** BLOCK_BITS;

interface Block {
  readonly digests: Uint8Array;
  readonly sizes: Uint32Array;
  readonly packs: Uint8Array;
  readonly pieces: Uint16Array;
  readonly offsets: Uint32Array;
}

/** Rows in manifest order, from 0. */
export class ChunkRows {
  readonly #blocks: Block[] = [];
  /** Row + 1 of the first chunk with a digest, at the digest's first free slot; 0: none. */
  readonly #slots: Int32Array;
  #count = 0;

  /** Makes room to look up `rowsMax` rows, half of the table left free. */
  constructor(rowsMax: number) {
    const rows = Math.min(rowsMax, CHUNKS_MAX);
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(2, 2 * rows))));
  }

  get count(): number {
    return this.#count;
  }

  /** Adds a row; returns the first row with that digest, which is the new one when it is new. */
  add(
    digests: Uint8Array,
    at: number,
    size: number,
  ): { readonly row: number; readonly first: number } {
    const row = this.#count;
    if ((row & (BLOCK_ROWS - 1)) === 0) this.#blocks.push(newBlock());
    const block = this.#blocks.at(-1) as Block;
    const index = row & (BLOCK_ROWS - 1);
    block.digests.set(digests.subarray(at, at + DIGEST_BYTES), index * DIGEST_BYTES);
    block.sizes[index] = size;
    this.#count += 1;
    return { row, first: this.#firstOf(digests, at, row) };
  }

  size(row: number): number {
    return this.#block(row).sizes[row & (BLOCK_ROWS - 1)] as number;
  }

  /** The row's digest, in place. */
  digest(row: number): Uint8Array {
    const at = (row & (BLOCK_ROWS - 1)) * DIGEST_BYTES;
    return this.#block(row).digests.subarray(at, at + DIGEST_BYTES);
  }

  place(row: number): ChunkPlace {
    const block = this.#block(row);
    const index = row & (BLOCK_ROWS - 1);
    return {
      pack: block.packs[index] as number,
      piece: block.pieces[index] as number,
      offset: block.offsets[index] as number,
    };
  }

  setPlace(row: number, place: ChunkPlace): void {
    const block = this.#block(row);
    const index = row & (BLOCK_ROWS - 1);
    block.packs[index] = place.pack;
    block.pieces[index] = place.piece;
    block.offsets[index] = place.offset;
  }

  /** The first row with the same digest. */
  first(row: number): number {
    return this.#firstOf(this.digest(row), 0, row);
  }

  #firstOf(digests: Uint8Array, at: number, row: number): number {
    const mask = this.#slots.length - 1;
    const hash =
      (digests[at] as number) |
      ((digests[at + 1] as number) << 8) |
      ((digests[at + 2] as number) << 16) |
      ((digests[at + 3] as number) << 24);
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const found = (this.#slots[slot] as number) - 1;
      if (found === -1) {
        this.#slots[slot] = row + 1;
        return row;
      }
      const index = found & (BLOCK_ROWS - 1);
      const block = this.#block(found);
      if (digestsEqual(block.digests, index * DIGEST_BYTES, digests, at)) return found;
    }
  }

  #block(row: number): Block {
    return this.#blocks[row >>> BLOCK_BITS] as Block;
  }
}

function newBlock(): Block {
  return {
    digests: new Uint8Array(BLOCK_ROWS * DIGEST_BYTES),
    sizes: new Uint32Array(BLOCK_ROWS),
    packs: new Uint8Array(BLOCK_ROWS),
    pieces: new Uint16Array(BLOCK_ROWS),
    offsets: new Uint32Array(BLOCK_ROWS),
  };
}
