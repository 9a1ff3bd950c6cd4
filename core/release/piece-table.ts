// The piece table: what a pack's pieces are called and how big they are. Rows of 44 bytes ride in
// segments' footers and in messages; this file reads, writes and bounds them, and holds no bytes of pieces.
import {
  CHUNK_BYTES_MAX,
  DIGEST_BYTES,
  PIECE_BYTES_MAX,
  PIECE_BYTES_MIN,
  PIECE_RATIO_MAX,
  PIECES_MAX,
  PIECES_TARGET,
} from "./limits.ts";
import { WireError } from "./wire-error.ts";

/** Bytes of a row: digest 32, encoded bytes u32, plain bytes u32, kind u8, codec u8, two zeros. */
export const PIECE_ROW_BYTES = 44;

/** What a piece holds. */
export type PieceKind = "data" | "manifest" | "layout";
/** How its bytes are encoded. */
export type PieceCodec = "stored" | "zstd";

const KINDS: readonly PieceKind[] = ["data", "manifest", "layout"];
const CODECS: readonly PieceCodec[] = ["stored", "zstd"];

/** One row; the digest is of the encoded bytes. */
export interface PieceRow {
  readonly digest: Uint8Array;
  readonly encodedBytes: number;
  readonly plainBytes: number;
  readonly kind: PieceKind;
  readonly codec: PieceCodec;
}

/**
 * Plain bytes at which a data piece is full, fixed by the size of the whole output. A piece ends with
 * the chunk that fills it, so it has up to a chunk more; there are 1,024 of them at most.
 */
export function pieceBytesFor(outputBytes: number): number {
  const even = Math.ceil(outputBytes / PIECES_TARGET);
  return Math.min(Math.max(even, PIECE_BYTES_MIN), PIECE_BYTES_MAX - CHUNK_BYTES_MAX);
}

/** Writes a row at the offset. */
export function writePieceRow(row: PieceRow, target: Uint8Array, offset = 0): void {
  target.set(row.digest, offset);
  const view = new DataView(target.buffer, target.byteOffset + offset, PIECE_ROW_BYTES);
  view.setUint32(32, row.encodedBytes, true);
  view.setUint32(36, row.plainBytes, true);
  view.setUint8(40, KINDS.indexOf(row.kind));
  view.setUint8(41, CODECS.indexOf(row.codec));
  view.setUint16(42, 0, true);
}

/** The piece rows of a pack, or of its first segments, checked once and read in place. */
export class PieceTable {
  readonly #rows: Uint8Array;
  readonly #view: DataView;
  readonly count: number;

  /** Throws WireError, naming `where`, when a row is not as the format says. */
  constructor(rows: Uint8Array, where: string) {
    if (rows.length % PIECE_ROW_BYTES !== 0) {
      throw new WireError(`piece rows of ${rows.length} bytes, not a multiple of 44`, where);
    }
    this.#rows = rows;
    this.#view = new DataView(rows.buffer, rows.byteOffset, rows.length);
    this.count = rows.length / PIECE_ROW_BYTES;
    if (this.count > PIECES_MAX) throw new WireError(`${this.count} pieces`, where, PIECES_MAX);
    for (let piece = 0; piece < this.count; piece += 1)
      this.#check(piece, `${where} piece ${piece}`);
  }

  /** All rows, back to back. */
  get rows(): Uint8Array {
    return this.#rows;
  }

  digest(piece: number): Uint8Array {
    const at = piece * PIECE_ROW_BYTES;
    return this.#rows.subarray(at, at + DIGEST_BYTES);
  }

  encodedBytes(piece: number): number {
    return this.#view.getUint32(piece * PIECE_ROW_BYTES + 32, true);
  }

  plainBytes(piece: number): number {
    return this.#view.getUint32(piece * PIECE_ROW_BYTES + 36, true);
  }

  kind(piece: number): PieceKind {
    return KINDS[this.#view.getUint8(piece * PIECE_ROW_BYTES + 40)] as PieceKind;
  }

  codec(piece: number): PieceCodec {
    return CODECS[this.#view.getUint8(piece * PIECE_ROW_BYTES + 41)] as PieceCodec;
  }

  row(piece: number): PieceRow {
    return {
      digest: this.digest(piece),
      encodedBytes: this.encodedBytes(piece),
      plainBytes: this.plainBytes(piece),
      kind: this.kind(piece),
      codec: this.codec(piece),
    };
  }

  /** Encoded bytes of all pieces. */
  get encodedTotalBytes(): number {
    let total = 0;
    for (let piece = 0; piece < this.count; piece += 1) total += this.encodedBytes(piece);
    return total;
  }

  /** Plain bytes of the data pieces. */
  get dataTotalBytes(): number {
    let total = 0;
    for (let piece = 0; piece < this.count; piece += 1) {
      if (this.kind(piece) === "data") total += this.plainBytes(piece);
    }
    return total;
  }

  #check(piece: number, where: string): void {
    const at = piece * PIECE_ROW_BYTES;
    const kind = this.#view.getUint8(at + 40);
    const codec = this.#view.getUint8(at + 41);
    if (KINDS[kind] === undefined) throw new WireError(`kind ${kind} is unknown`, where);
    if (CODECS[codec] === undefined) throw new WireError(`codec ${codec} is unknown`, where);
    if (this.#view.getUint16(at + 42, true) !== 0) {
      throw new WireError("reserved bytes are not zero", where);
    }
    const encoded = this.encodedBytes(piece);
    const plain = this.plainBytes(piece);
    if (plain === 0 || encoded === 0) throw new WireError("is empty", where);
    if (plain > PIECE_BYTES_MAX)
      throw new WireError(`${plain} plain bytes`, where, PIECE_BYTES_MAX);
    if (encoded > plain) throw new WireError(`${encoded} encoded bytes for ${plain} plain`, where);
    if (CODECS[codec] === "stored" && encoded !== plain) {
      throw new WireError(`stored in ${encoded} bytes, but ${plain} plain`, where);
    }
    if (plain > encoded * PIECE_RATIO_MAX) {
      throw new WireError(`${encoded} bytes that unpack to ${plain}`, where, PIECE_RATIO_MAX);
    }
  }
}
