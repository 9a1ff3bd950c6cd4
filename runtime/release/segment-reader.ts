// Reads what a segment says of itself from its end: the trailer, then the footer of piece rows. Two
// ranged reads, whatever its size; the pieces before are verified by whoever reads them.
import { SEGMENT_BYTES_MAX } from "../../core/release/limits.ts";
import { PIECE_ROW_BYTES, PieceTable } from "../../core/release/piece-table.ts";
import type { SegmentTrailer } from "../../core/release/segment-trailer.ts";
import { decodeTrailer, SEGMENT_TRAILER_BYTES } from "../../core/release/segment-trailer.ts";
import { WireError } from "../../core/release/wire-error.ts";
import type { BlobStore } from "../blobs/blob-store.ts";
import { segmentKey } from "./pack-keys.ts";
import { digestOf } from "./piece-codec.ts";

/** A segment's pieces: rows from 0, which are the pack's from `trailer.firstPiece`. */
export interface SegmentFooter {
  readonly trailer: SegmentTrailer;
  readonly table: PieceTable;
}

/**
 * Reads and verifies the footer of a segment of `bytes` bytes. Throws WireError when it is not what
 * the format says; BlobNotFoundError when it is not there.
 */
export async function readSegmentFooter(
  store: BlobStore,
  pack: string,
  index: number,
  bytes: number,
): Promise<SegmentFooter> {
  const where = segmentKey(pack, index);
  const end = bytes - SEGMENT_TRAILER_BYTES;
  if (end < PIECE_ROW_BYTES) throw new WireError(`only ${bytes} bytes`, where);
  const trailer = decodeTrailer(await readExactly(store, where, end, SEGMENT_TRAILER_BYTES), where);
  if (trailer.index !== index) throw new WireError(`says it is segment ${trailer.index}`, where);
  const footerBytes = trailer.pieceCount * PIECE_ROW_BYTES;
  if (footerBytes > end) throw new WireError(`${trailer.pieceCount} rows in ${end} bytes`, where);
  const rows = await readExactly(store, where, end - footerBytes, footerBytes);
  if (Buffer.compare(digestOf(rows), trailer.footerDigest) !== 0) {
    throw new WireError("piece rows do not have the digest that the trailer says", where);
  }
  const table = new PieceTable(rows, where);
  if (table.encodedTotalBytes !== end - footerBytes) {
    const what = `${table.encodedTotalBytes} bytes of pieces in a body of ${end - footerBytes}`;
    throw new WireError(what, where, SEGMENT_BYTES_MAX);
  }
  return { trailer, table };
}

/** The bytes of a blob's range; throws WireError when it ends before. */
export async function readExactly(
  store: BlobStore,
  key: string,
  offset: number,
  bytes: number,
): Promise<Buffer> {
  const target = Buffer.allocUnsafe(bytes);
  const got = await store.read(key, offset, target);
  if (got !== bytes) throw new WireError(`${got} bytes at ${offset}, expected ${bytes}`, key);
  return target;
}
