// How files are cut: within the limits of a table, whatever their size, and growing ones as they come.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileBytesMax, filePieceBytes } from "../../../core/introduction/file-pieces.ts";
import { PIECE_BYTES_MAX, PIECE_BYTES_MIN, PIECES_MAX } from "../../../core/release/limits.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

test("a file of known size is cut evenly", () => {
  const cases: readonly [bytes: number, piece: number][] = [
    [1, PIECE_BYTES_MIN],
    [128 * MIB, PIECE_BYTES_MIN],
    [GIB, MIB],
    [62 * GIB, PIECE_BYTES_MAX - PIECE_BYTES_MIN],
  ];
  for (const [bytes, piece] of cases) assert.equal(filePieceBytes(5, bytes), piece);
});

test("the largest files have as many pieces as a table may have", () => {
  const known = fileBytesMax(true);
  assert.equal(Math.ceil(known / filePieceBytes(0, known)), PIECES_MAX);
  assert.equal(fileBytesMax(false), 16 * GIB);
});

test("pieces of a growing file begin small and double", () => {
  const at = (piece: number) => filePieceBytes(piece, undefined) / 1024;
  assert.deepEqual([0, 1023, 1024, 1535, 1536, 4095].map(at), [256, 256, 512, 512, 1024, 16384]);
});
