// How a file is cut into pieces: evenly where its size is known, else in pieces that double in size as
// it grows, so that the first ones are soon on their way and 10 GB stay within the limit of a table.
import { PIECE_BYTES_MAX, PIECE_BYTES_MIN, PIECES_MAX } from "../release/limits.ts";
import { pieceBytesFor } from "../release/piece-table.ts";

/** Pieces of the smallest size: 256 MiB of them. */
const SMALLEST_PIECES = 1024;
/** Pieces of each further size: 512 x (512 KiB + 1 + 2 + 4 + 8 + 16 MiB) is 15.75 GiB in 3,072. */
const PIECES_PER_SIZE = 512;

/** Bytes of a piece, but for the file's last; `fileBytes` is undefined where it is not known yet. */
export function filePieceBytes(piece: number, fileBytes: number | undefined): number {
  if (fileBytes !== undefined) return pieceBytesFor(fileBytes);
  if (piece < SMALLEST_PIECES) return PIECE_BYTES_MIN;
  const doublings = 1 + Math.floor((piece - SMALLEST_PIECES) / PIECES_PER_SIZE);
  return Math.min(PIECE_BYTES_MAX, PIECE_BYTES_MIN * 2 ** doublings);
}

/** Bytes of the largest file that can be cut: 62 GiB where the size is known, else 16 GiB. */
export function fileBytesMax(isSizeKnown: boolean): number {
  if (isSizeKnown) return PIECES_MAX * pieceBytesFor(Number.MAX_SAFE_INTEGER);
  let total = 0;
  for (let piece = 0; piece < PIECES_MAX; piece += 1) total += filePieceBytes(piece, undefined);
  return total;
}
