// Encodes and decodes the bytes of one piece. A piece is a zstd frame, or stored plain where zstd
// saves too little to be worth the agents' time. Decoding never makes more bytes than the table says.
import { promisify } from "node:util";
import { constants, zstdCompressSync, zstdDecompress } from "node:zlib";
import { blake3 } from "@napi-rs/blake-hash";
import { PIECE_BYTES_MAX, PIECE_RATIO_MAX } from "../../core/release/limits.ts";
import type { PieceCodec, PieceRow } from "../../core/release/piece-table.ts";
import { WireError } from "../../core/release/wire-error.ts";

/** zstd must save at least 3 % or the piece is stored. */
const STORED_SHARE_MIN = 0.97;
/** zstd's bound on what it makes of incompressible bytes: 1/256 more, and a header. */
const GROWTH_BYTES = PIECE_BYTES_MAX / 256 + 1024;

const decompress = promisify(zstdDecompress);

/** A piece's encoded bytes, which share memory with nothing, or with `plain` when stored. */
export interface EncodedPiece {
  readonly encoded: Uint8Array;
  readonly codec: PieceCodec;
}

/** Encodes at a zstd level; holds the calling thread (about 300 MB/s at level 3). */
export function encodePiece(plain: Uint8Array, level: number): EncodedPiece {
  const encoded = zstdCompressSync(plain, {
    chunkSize: plain.length + GROWTH_BYTES,
    pledgedSrcSize: plain.length,
    params: { [constants.ZSTD_c_compressionLevel]: level },
  });
  const worth =
    encoded.length < plain.length * STORED_SHARE_MIN &&
    plain.length <= encoded.length * PIECE_RATIO_MAX;
  if (worth) return { encoded, codec: "zstd" };
  // Frees megabytes at once that a thread's garbage collector is slow to see. Only zstd's own buffer.
  if (encoded.buffer.byteLength >= plain.length + GROWTH_BYTES) encoded.buffer.transfer(0);
  return { encoded: plain, codec: "stored" };
}

/** Whether the encoded bytes are the piece of that row. */
export function isPiece(encoded: Uint8Array, row: PieceRow): boolean {
  return encoded.length === row.encodedBytes && Buffer.compare(digestOf(encoded), row.digest) === 0;
}

/**
 * Plain bytes of an encoded piece, whose digest is verified already. Throws WireError, naming
 * `where`, when they are not exactly as many as the row says; never makes more.
 */
export async function decodePiece(
  encoded: Uint8Array,
  row: PieceRow,
  where: string,
): Promise<Uint8Array> {
  if (encoded.length !== row.encodedBytes) {
    throw new WireError(`${encoded.length} bytes, its row says ${row.encodedBytes}`, where);
  }
  if (row.codec === "stored") return encoded;
  let plain: Uint8Array;
  try {
    plain = await decompress(encoded, {
      maxOutputLength: row.plainBytes,
      chunkSize: Math.max(row.plainBytes, 64),
    });
  } catch (error) {
    const what = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new WireError(`does not unpack (${what})`, where, row.plainBytes);
  }
  if (plain.length === row.plainBytes) return plain;
  throw new WireError(`unpacks to ${plain.length} bytes`, where, row.plainBytes);
}

/** BLAKE3 of the bytes. */
export function digestOf(bytes: Uint8Array): Uint8Array {
  return blake3(bytes) as unknown as Buffer;
}
