// The seal of a pack: what its segments are and the digest of its whole piece table. Whoever has a
// seal can tell a whole pack from a part of one, and a changed row from a true one.
import {
  DIGEST_BYTES,
  PIECES_MAX,
  RELEASE_BYTES_MAX,
  SEAL_BYTES_MAX,
  SEGMENT_BYTES_MAX,
  SEGMENTS_MAX,
} from "../../core/release/limits.ts";
import { PieceTable } from "../../core/release/piece-table.ts";
import { WireError } from "../../core/release/wire-error.ts";
import type { SealedSegment } from "../../proto/gen/millrace/v1/release_format.ts";
import { PackSeal } from "../../proto/gen/millrace/v1/release_format.ts";
import { digestOf } from "./piece-codec.ts";

export type { PackSeal, SealedSegment };

const FORMAT = 1;
/** A pack may hold a release, its manifest and layout, and nothing more. */
const PACK_BYTES_MAX = RELEASE_BYTES_MAX + 512 * 1024 * 1024;
/** A body, or one piece of 16 MiB at least, and the rows and the trailer. */
const SEGMENT_BLOB_BYTES_MAX = SEGMENT_BYTES_MAX + 1024 * 1024;

/** The seal of a pack with these segments and piece rows. */
export function makeSeal(
  pack: string,
  segments: readonly SealedSegment[],
  rows: Uint8Array,
): PackSeal {
  const table = new PieceTable(rows, `pack ${pack}`);
  return {
    format: FORMAT,
    pack,
    segments: [...segments],
    pieces: table.count,
    bytes: table.encodedTotalBytes,
    tableDigest: Buffer.from(digestOf(rows)),
  };
}

/** The seal as its blob. */
export function encodeSeal(seal: PackSeal): Uint8Array {
  return PackSeal.encode(seal).finish();
}

/** Reads a seal; throws WireError, naming `where`, unless it is a whole and consistent one. */
export function decodeSeal(bytes: Uint8Array, where: string): PackSeal {
  if (bytes.length > SEAL_BYTES_MAX) {
    throw new WireError(`${bytes.length} bytes`, where, SEAL_BYTES_MAX);
  }
  let seal: PackSeal;
  try {
    seal = PackSeal.decode(bytes);
  } catch (error) {
    throw new WireError(`is no PackSeal (${(error as Error).message})`, where);
  }
  checkSeal(seal, where);
  return seal;
}

/** Throws WireError, naming `where`, unless the seal is consistent in itself. */
export function checkSeal(seal: PackSeal, where: string): void {
  if (seal.format !== FORMAT) throw new WireError(`format ${seal.format}, expected 1`, where);
  if (seal.tableDigest.length !== DIGEST_BYTES) {
    throw new WireError(`digest of ${seal.tableDigest.length} bytes, expected 32`, where);
  }
  if (seal.pieces > PIECES_MAX) throw new WireError(`${seal.pieces} pieces`, where, PIECES_MAX);
  if (seal.segments.length > SEGMENTS_MAX) {
    throw new WireError(`${seal.segments.length} segments`, where, SEGMENTS_MAX);
  }
  if (seal.bytes > PACK_BYTES_MAX)
    throw new WireError(`${seal.bytes} bytes`, where, PACK_BYTES_MAX);
  let pieces = 0;
  for (const [index, segment] of seal.segments.entries()) {
    const place = `${where} segment ${index}`;
    if (segment.firstPiece !== pieces || segment.pieceCount === 0) {
      const what = `pieces ${segment.firstPiece} + ${segment.pieceCount} do not follow ${pieces}`;
      throw new WireError(what, place);
    }
    if (segment.bytes > SEGMENT_BLOB_BYTES_MAX) {
      throw new WireError(`${segment.bytes} bytes`, place, SEGMENT_BLOB_BYTES_MAX);
    }
    pieces += segment.pieceCount;
  }
  if (pieces !== seal.pieces) {
    throw new WireError(`segments hold ${pieces} pieces, not ${seal.pieces}`, where);
  }
}

/** The pack's table of these rows; throws WireError when they are not the ones it was sealed with. */
export function sealedTable(seal: PackSeal, rows: Uint8Array): PieceTable {
  const where = `pack ${seal.pack}`;
  if (Buffer.compare(digestOf(rows), seal.tableDigest) !== 0) {
    throw new WireError("piece rows are not those of its seal", where);
  }
  const table = new PieceTable(rows, where);
  if (table.count !== seal.pieces || table.encodedTotalBytes !== seal.bytes) {
    throw new WireError(`${table.count} pieces, its seal says ${seal.pieces}`, where);
  }
  return table;
}
