// The chunks of earlier releases and where they lie, found by digest. 57 bytes a chunk in typed
// arrays: 120 MB for the most that fit, 2M.
import { ChunkIndex, INDEX_ROWS_MAX } from "../../core/release/chunk-index.ts";
import type { ChunkPlace } from "../../core/release/layout-row.ts";
import { placeFits } from "../../core/release/layout-row.ts";
import { DIGEST_BYTES } from "../../core/release/limits.ts";
import type { PieceTable } from "../../core/release/piece-table.ts";
import { WireError } from "../../core/release/wire-error.ts";
import type { PackRef } from "../../proto/gen/millrace/v1/release_format.ts";
import type { ReleasePart } from "../../runtime/release/walk-release.ts";
import { walkRelease } from "../../runtime/release/walk-release.ts";
import type { BaseRelease } from "./base-release.ts";

/** Packs that may be told apart in a byte, the build's own left out: 8 each of 31 releases. */
const KNOWN_PACKS_MAX = 248;

/** A pack of earlier releases. */
export interface KnownPack {
  readonly ref: PackRef;
  readonly table: PieceTable;
}

/** The chunks of some earlier releases; a place's pack is an index in `packs`. */
export class KnownChunks {
  readonly packs: readonly KnownPack[];
  readonly #digests: Uint8Array;
  readonly #packOf: Uint8Array;
  readonly #pieces: Uint16Array;
  readonly #offsets: Uint32Array;
  readonly #sizes: Uint32Array;
  readonly #index: ChunkIndex;

  private constructor(packs: readonly KnownPack[], rows: Rows) {
    this.packs = packs;
    this.#digests = rows.digests;
    this.#packOf = rows.packs;
    this.#pieces = rows.pieces;
    this.#offsets = rows.offsets;
    this.#sizes = rows.sizes;
    this.#index = new ChunkIndex(rows.digests, rows.count);
  }

  /** Reads the releases in order, as many as fit; throws WireError for one that is not consistent. */
  static async of(bases: readonly BaseRelease[]): Promise<KnownChunks> {
    const taken: BaseRelease[] = [];
    let chunks = 0;
    for (const base of bases) {
      if (chunks + base.release.chunks > INDEX_ROWS_MAX) break;
      if ((taken.length + 1) * base.packs.length > KNOWN_PACKS_MAX) break;
      chunks += base.release.chunks;
      taken.push(base);
    }
    const packs: KnownPack[] = [];
    const rows = new Rows(chunks);
    for (const base of taken) {
      const numbers = base.packs.map((pack) => numberOf(pack, packs));
      for await (const parts of walkRelease(base.manifestPath, base.layoutPath, numbers.length)) {
        for (const part of parts) rows.add(part, base, numbers);
      }
    }
    return new KnownChunks(packs, rows);
  }

  /** Where a chunk lies, or undefined. Of equal ones the first, in the order of the releases. */
  find(digests: Uint8Array, at: number, size: number): ChunkPlace | undefined {
    const row = this.#index.rowOf(this.#digests, digests, at);
    if (row === -1 || this.#sizes[row] !== size) return undefined;
    return {
      pack: this.#packOf[row] as number,
      piece: this.#pieces[row] as number,
      offset: this.#offsets[row] as number,
    };
  }
}

function numberOf(pack: KnownPack, packs: KnownPack[]): number {
  const found = packs.findIndex(({ ref }) => ref.pack === pack.ref.pack);
  return found === -1 ? packs.push(pack) - 1 : found;
}

class Rows {
  readonly digests: Uint8Array;
  readonly packs: Uint8Array;
  readonly pieces: Uint16Array;
  readonly offsets: Uint32Array;
  readonly sizes: Uint32Array;
  count = 0;

  constructor(rowsMax: number) {
    this.digests = new Uint8Array(rowsMax * DIGEST_BYTES);
    this.packs = new Uint8Array(rowsMax);
    this.pieces = new Uint16Array(rowsMax);
    this.offsets = new Uint32Array(rowsMax);
    this.sizes = new Uint32Array(rowsMax);
  }

  add(part: ReleasePart, base: BaseRelease, numbers: readonly number[]): void {
    if (this.count + part.sizes.length > this.packs.length) {
      throw new WireError(
        "has more chunks than its record says",
        `release ${base.release.release}`,
      );
    }
    this.digests.set(part.digests, this.count * DIGEST_BYTES);
    for (const [i, place] of part.places.entries()) {
      const size = part.sizes[i] as number;
      const { table } = base.packs[place.pack] as KnownPack;
      if (!placeFits(place, size, table)) {
        const what = `row ${part.firstRow + i} lies outside of its piece`;
        throw new WireError(what, `layout of release ${base.release.release}`);
      }
      this.packs[this.count] = numbers[place.pack] as number;
      this.pieces[this.count] = place.piece;
      this.offsets[this.count] = place.offset;
      this.sizes[this.count] = size;
      this.count += 1;
    }
  }
}
