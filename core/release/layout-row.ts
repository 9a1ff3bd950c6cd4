// Where one chunk lies: 12 bytes for each chunk row of the manifest, in the same order.
import { PACKS_MAX, PIECE_BYTES_MAX, PIECES_MAX } from "./limits.ts";
import type { PieceTable } from "./piece-table.ts";
import { WireError } from "./wire-error.ts";

/** Bytes of a row: pack u8, piece u24, offset in the plain piece u32, reserved u32. */
export const LAYOUT_ROW_BYTES = 12;

/** A place in the release's packs. */
export interface ChunkPlace {
  /** Index in the layout's list of packs. */
  readonly pack: number;
  readonly piece: number;
  /** Offset in the plain bytes of the piece. */
  readonly offset: number;
}

/** Writes a row at the offset `at`. */
export function writeLayoutRow(place: ChunkPlace, target: DataView, at: number): void {
  target.setUint32(at, (place.pack | (place.piece << 8)) >>> 0, true);
  target.setUint32(at + 4, place.offset, true);
  target.setUint32(at + 8, 0, true);
}

/** Reads the row at the offset `at`; throws WireError, naming `where`, for one no pack can have. */
export function readLayoutRow(source: DataView, at: number, where: string): ChunkPlace {
  const packed = source.getUint32(at, true);
  const place = {
    pack: packed & 0xff,
    piece: packed >>> 8,
    offset: source.getUint32(at + 4, true),
  };
  if (place.pack >= PACKS_MAX) throw new WireError(`pack ${place.pack}`, where, PACKS_MAX - 1);
  if (place.piece >= PIECES_MAX) throw new WireError(`piece ${place.piece}`, where, PIECES_MAX - 1);
  if (place.offset >= PIECE_BYTES_MAX) {
    throw new WireError(`offset ${place.offset}`, where, PIECE_BYTES_MAX - 1);
  }
  if (source.getUint32(at + 8, true) !== 0) throw new WireError("reserved is not zero", where);
  return place;
}

/** Whether the piece exists, holds data, and has that many plain bytes from the offset on. */
export function placeFits(place: ChunkPlace, chunkBytes: number, table: PieceTable): boolean {
  return (
    place.piece < table.count &&
    table.kind(place.piece) === "data" &&
    place.offset + chunkBytes <= table.plainBytes(place.piece)
  );
}
