// A sealed pack in a blob store: its seal, its whole piece table, and single pieces of it.
import { SEAL_BYTES_MAX } from "../../core/release/limits.ts";
import type { PieceTable } from "../../core/release/piece-table.ts";
import { WireError } from "../../core/release/wire-error.ts";
import type { PackRef } from "../../proto/gen/millrace/v1/release_format.ts";
import type { BlobStore } from "../blobs/blob-store.ts";
import { BlobNotFoundError } from "../blobs/blob-store.ts";
import { sealKey, segmentKey } from "./pack-keys.ts";
import { isPiece } from "./piece-codec.ts";
import type { PackSeal } from "./seal.ts";
import { decodeSeal, sealedTable } from "./seal.ts";
import { readExactly, readSegmentFooter } from "./segment-reader.ts";

/** Footers read at once: 171 segments of 10 GB at 20 ms each take 0.3 s. */
const READS_MAX = 16;

/** A pack whose table is verified against its seal. */
export interface SealedPack {
  readonly seal: PackSeal;
  readonly table: PieceTable;
  /** Encoded bytes of a piece, verified; throws WireError when they are not what its row says. */
  piece(piece: number): Promise<Uint8Array>;
}

/** Reads the seal of a pack, or undefined where there is none (yet). */
export async function readSeal(store: BlobStore, pack: string): Promise<PackSeal | undefined> {
  const key = sealKey(pack);
  const head = await store.head(key);
  if (head === undefined) return undefined;
  if (head.bytes > SEAL_BYTES_MAX) throw new WireError(`${head.bytes} bytes`, key, SEAL_BYTES_MAX);
  const seal = decodeSeal(await readExactly(store, key, 0, head.bytes), key);
  if (seal.pack !== pack) throw new WireError(`is the seal of ${seal.pack}`, key);
  return seal;
}

/**
 * Opens a pack. Throws WireError when seal, footers and (where given) the layout's reference do not
 * agree; BlobNotFoundError when the pack is not sealed or lacks a segment.
 */
export async function openPack(
  store: BlobStore,
  pack: string,
  expected?: PackRef,
): Promise<SealedPack> {
  const seal = await readSeal(store, pack);
  if (seal === undefined) throw new BlobNotFoundError(sealKey(pack));
  if (expected !== undefined && Buffer.compare(expected.tableDigest, seal.tableDigest) !== 0) {
    throw new WireError("is not the pack that the layout names", sealKey(pack));
  }
  const table = sealedTable(seal, await readRows(store, seal));
  const offsets = pieceOffsets(seal, table);
  return {
    seal,
    table,
    async piece(piece) {
      const where = `pack ${pack} piece ${piece}`;
      const place = offsets[piece];
      if (place === undefined) throw new WireError("does not exist", where, table.count - 1);
      const key = segmentKey(pack, place.segment);
      const bytes = await readExactly(store, key, place.offset, table.encodedBytes(piece));
      if (!isPiece(bytes, table.row(piece))) throw new WireError("does not have its digest", where);
      return bytes;
    },
  };
}

async function readRows(store: BlobStore, seal: PackSeal): Promise<Uint8Array> {
  const rows: Uint8Array[] = [];
  for (let from = 0; from < seal.segments.length; from += READS_MAX) {
    const batch = seal.segments.slice(from, from + READS_MAX).map(async (segment, i) => {
      const footer = await readSegmentFooter(store, seal.pack, from + i, segment.bytes);
      const { firstPiece, pieceCount } = footer.trailer;
      if (firstPiece === segment.firstPiece && pieceCount === segment.pieceCount) {
        return footer.table.rows;
      }
      throw new WireError("holds other pieces than its seal says", segmentKey(seal.pack, from + i));
    });
    rows.push(...(await Promise.all(batch)));
  }
  return Buffer.concat(rows);
}

function pieceOffsets(seal: PackSeal, table: PieceTable) {
  const offsets: { readonly segment: number; readonly offset: number }[] = [];
  for (const [segment, { firstPiece, pieceCount }] of seal.segments.entries()) {
    let offset = 0;
    for (let piece = firstPiece; piece < firstPiece + pieceCount; piece += 1) {
      offsets.push({ segment, offset });
      offset += table.encodedBytes(piece);
    }
  }
  return offsets;
}
