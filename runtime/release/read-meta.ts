// Turns a run of meta pieces back into the manifest or layout file that they hold, piece by piece.
// The file appears under its path whole and with the right digest, or not at all.
import { open, rename, rm } from "node:fs/promises";
import { Blake3Hasher } from "@napi-rs/blake-hash";
import { LAYOUT_ROW_BYTES } from "../../core/release/layout-row.ts";
import { CHUNKS_MAX, DIGEST_BYTES, MANIFEST_BYTES_MAX } from "../../core/release/limits.ts";
import type { PieceTable } from "../../core/release/piece-table.ts";
import { WireError } from "../../core/release/wire-error.ts";
import type { Extent } from "../../proto/gen/millrace/v1/release_format.ts";
import { decodePiece } from "./piece-codec.ts";

/** Which of the two meta files. */
export type MetaKind = "manifest" | "layout";

const BYTES_MAX = {
  manifest: MANIFEST_BYTES_MAX,
  layout: CHUNKS_MAX * LAYOUT_ROW_BYTES,
} as const;

export interface MetaSource {
  readonly kind: MetaKind;
  readonly extent: Extent;
  /** Table of the extent's pack; it must reach the extent's last piece. */
  readonly table: PieceTable;
  /** Encoded bytes of a piece of that pack, verified against the table. */
  readonly piece: (packIndex: number, piece: number) => Promise<Uint8Array>;
}

/**
 * Writes the file to `path`, holding one piece at a time. Throws WireError when the pieces are not
 * of the kind, or do not make up exactly the bytes and the digest that the extent says.
 */
export async function readMeta(source: MetaSource, path: string): Promise<void> {
  const { kind, extent, table } = source;
  const where = `${kind} in pieces ${extent.firstPiece} + ${extent.pieces}`;
  checkExtent(source, where);
  const partial = `${path}.partial`;
  const file = await open(partial, "w", 0o600);
  try {
    const hasher = new Blake3Hasher();
    for (let piece = extent.firstPiece; piece < extent.firstPiece + extent.pieces; piece += 1) {
      const encoded = await source.piece(extent.pack, piece);
      const plain = await decodePiece(encoded, table.row(piece), `${where}, piece ${piece}`);
      hasher.update(plain);
      await file.writeFile(plain);
    }
    if (Buffer.compare(hasher.digestBuffer(), extent.digest) !== 0) {
      throw new WireError("does not have the digest that the release's record says", where);
    }
    await file.datasync();
    await file.close();
    await rename(partial, path);
  } catch (error) {
    await file.close();
    await rm(partial, { force: true });
    throw error;
  }
}

function checkExtent({ kind, extent, table }: MetaSource, where: string): void {
  const limit = BYTES_MAX[kind];
  if (extent.bytes > limit) throw new WireError(`${extent.bytes} bytes`, where, limit);
  if (extent.digest.length !== DIGEST_BYTES) throw new WireError("digest is not 32 bytes", where);
  const end = extent.firstPiece + extent.pieces;
  if (end > table.count) throw new WireError(`reaches piece ${end}`, where, table.count);
  let bytes = 0;
  for (let piece = extent.firstPiece; piece < end; piece += 1) {
    if (table.kind(piece) !== kind) {
      throw new WireError(`piece ${piece} is a ${table.kind(piece)} piece`, where);
    }
    bytes += table.plainBytes(piece);
  }
  if (bytes !== extent.bytes) {
    throw new WireError(`pieces hold ${bytes} bytes, not ${extent.bytes}`, where);
  }
}
