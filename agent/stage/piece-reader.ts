// Plain bytes of pieces, a few at a time: waits until a piece is here, reads and decodes it, and keeps
// the last ones, because files of one piece follow each other. Buffers of stored pieces are used again.
import type { PieceTable } from "../../core/release/piece-table.ts";
import { decodePiece } from "../../runtime/release/piece-codec.ts";
import type { ShelvedPack } from "../swarm/shelved-pack.ts";

/** Plain bytes kept: two of the largest pieces (16 MiB each), more of smaller ones. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024;
/** Pieces kept: one of each pack that a release usually alternates between. */
const KEPT_PIECES_MAX = 3;

/** A pack that is read from, and its verified table. */
export interface ReadablePack {
  readonly pack: ShelvedPack;
  readonly table: PieceTable;
}

interface Kept {
  readonly key: number;
  readonly plain: Uint8Array;
  /** Where `plain` lies, if it may be used again. */
  readonly buffer: Buffer | undefined;
}

export class PieceReader {
  readonly #packs: readonly ReadablePack[];
  readonly #signal: AbortSignal;
  readonly #spare: Buffer[] = [];
  /** The one used last comes last. */
  #kept: Kept[] = [];

  constructor(packs: readonly ReadablePack[], signal: AbortSignal) {
    this.#packs = packs;
    this.#signal = signal;
  }

  /** Encoded bytes of a piece; waits until it is here. */
  async encoded(packIndex: number, piece: number): Promise<Buffer> {
    const { pack, table } = this.#pack(packIndex);
    await pack.whenHas(piece, this.#signal);
    const bytes = this.#buffer(table.encodedBytes(piece));
    await pack.store.read(piece, 0, bytes);
    return bytes;
  }

  /** The piece's plain bytes if they are at hand; valid until the next `load`. */
  kept(packIndex: number, piece: number): Uint8Array | undefined {
    const key = keyOf(packIndex, piece);
    const last = this.#kept.at(-1);
    if (last?.key === key) return last.plain;
    const index = this.#kept.findIndex((kept) => kept.key === key);
    if (index === -1) return undefined;
    const [found] = this.#kept.splice(index, 1) as [Kept];
    this.#kept.push(found);
    return found.plain;
  }

  /** Reads a piece; waits until it is here. */
  async load(packIndex: number, piece: number): Promise<Uint8Array> {
    const { pack, table } = this.#pack(packIndex);
    this.#makeRoom(table.plainBytes(piece));
    const encoded = await this.encoded(packIndex, piece);
    const where = `pack ${pack.pack} piece ${piece}`;
    const plain = await decodePiece(encoded, table.row(piece), where);
    const isStored = plain === encoded;
    if (!isStored) this.#recycle(encoded);
    const buffer = isStored ? encoded : undefined;
    this.#kept.push({ key: keyOf(packIndex, piece), plain, buffer });
    return plain;
  }

  #pack(packIndex: number): ReadablePack {
    return this.#packs[packIndex] as ReadablePack;
  }

  #makeRoom(bytes: number): void {
    let total = bytes;
    for (const kept of this.#kept) total += kept.plain.length;
    while (
      this.#kept.length > 0 &&
      (this.#kept.length >= KEPT_PIECES_MAX || total > KEPT_BYTES_MAX)
    ) {
      const oldest = this.#kept.shift() as Kept;
      total -= oldest.plain.length;
      if (oldest.buffer !== undefined) this.#recycle(oldest.buffer);
    }
  }

  /** A view of exactly that length of a spare buffer, or of a new one. */
  #buffer(bytes: number): Buffer {
    const index = this.#spare.findIndex((spare) => spare.length >= bytes);
    if (index === -1) return Buffer.allocUnsafeSlow(bytes);
    const [spare] = this.#spare.splice(index, 1) as [Buffer];
    return spare.subarray(0, bytes);
  }

  #recycle(view: Buffer): void {
    const whole = Buffer.from(view.buffer as ArrayBuffer);
    if (this.#spare.length === 0) this.#spare.push(whole);
    else if (whole.length > (this.#spare[0] as Buffer).length) this.#spare[0] = whole;
  }
}

const keyOf = (packIndex: number, piece: number): number => packIndex * 2 ** 24 + piece;
