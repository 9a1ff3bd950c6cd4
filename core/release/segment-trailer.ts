// The last 48 bytes of a segment: which pieces it holds, and the digest of the piece rows before it.
import { DIGEST_BYTES, PIECES_MAX, SEGMENT_BYTES_MAX, SEGMENT_PIECES_TARGET } from "./limits.ts";
import { WireError } from "./wire-error.ts";

/** Bytes of a trailer: four u32 and a digest. */
export const SEGMENT_TRAILER_BYTES = 16 + DIGEST_BYTES;
const FORMAT = 1;

/** What a segment holds. */
export interface SegmentTrailer {
  readonly firstPiece: number;
  readonly pieceCount: number;
  readonly index: number;
  /** BLAKE3 of the footer: the segment's piece rows. */
  readonly footerDigest: Uint8Array;
}

/** Bytes that the pieces of one segment may have, for the pack's piece size; one piece always fits. */
export function segmentBodyBytes(pieceBytes: number): number {
  return Math.min(SEGMENT_BYTES_MAX, SEGMENT_PIECES_TARGET * pieceBytes);
}

/** The trailer as it is written. */
export function encodeTrailer(trailer: SegmentTrailer): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_TRAILER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, trailer.firstPiece, true);
  view.setUint32(4, trailer.pieceCount, true);
  view.setUint32(8, trailer.index, true);
  view.setUint32(12, FORMAT, true);
  bytes.set(trailer.footerDigest, 16);
  return bytes;
}

/** Reads a trailer; throws WireError, naming `where`. */
export function decodeTrailer(bytes: Uint8Array, where: string): SegmentTrailer {
  if (bytes.length !== SEGMENT_TRAILER_BYTES) {
    throw new WireError(`trailer of ${bytes.length} bytes, expected 48`, where);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const format = view.getUint32(12, true);
  if (format !== FORMAT) throw new WireError(`format ${format}, expected ${FORMAT}`, where);
  const firstPiece = view.getUint32(0, true);
  const pieceCount = view.getUint32(4, true);
  if (pieceCount === 0) throw new WireError("holds no piece", where);
  if (firstPiece + pieceCount > PIECES_MAX) {
    throw new WireError(`pieces up to ${firstPiece + pieceCount}`, where, PIECES_MAX);
  }
  const footerDigest = bytes.slice(16);
  return { firstPiece, pieceCount, index: view.getUint32(8, true), footerDigest };
}
