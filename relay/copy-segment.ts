// Copies one segment, or the seal, from the origin into the region's store. Every piece is compared
// with its row while it streams through, so that nothing false is ever stored; memory is one buffer.
import { Blake3Hasher } from "@napi-rs/blake-hash";
import { encodeTrailer } from "../core/release/segment-trailer.ts";
import { WireError } from "../core/release/wire-error.ts";
import { BlobNotFoundError, type BlobStore } from "../runtime/blobs/blob-store.ts";
import { freeMemory } from "../runtime/free-memory.ts";
import { sealKey, segmentKey } from "../runtime/release/pack-keys.ts";
import { decodeSeal, sealedTable } from "../runtime/release/seal.ts";
import {
  readExactly,
  readSegmentFooter,
  type SegmentFooter,
} from "../runtime/release/segment-reader.ts";

export interface Copy {
  readonly source: BlobStore;
  readonly target: BlobStore;
  readonly pack: string;
  readonly signal: AbortSignal;
  /** Called with the bytes that came from the source. */
  readonly onBytes: (bytes: number) => void;
}

/** Reads the footer of a segment; throws BlobNotFoundError or WireError. */
export async function footerOf(
  store: BlobStore,
  pack: string,
  segment: number,
): Promise<SegmentFooter> {
  const key = segmentKey(pack, segment);
  const head = await store.head(key);
  if (head === undefined) throw new BlobNotFoundError(key);
  return readSegmentFooter(store, pack, segment, head.bytes);
}

/** Copies a segment; throws WireError where the source's bytes are not what its rows say. */
export async function copySegment(copy: Copy, segment: number): Promise<"stored" | "present"> {
  const key = segmentKey(copy.pack, segment);
  if ((await copy.target.head(key)) !== undefined) return "present";
  const footer = await footerOf(copy.source, copy.pack, segment);
  const read = async (): Promise<void> => {
    for await (const _ of verified(copy, key, footer));
  };
  const shared = await copy.target.share?.(key, copy.source, read);
  if (shared !== undefined && shared !== "apart") return shared;
  return copy.target.put(key, verified(copy, key, footer));
}

/** Copies the seal of a pack with these rows; throws WireError where it is another pack's. */
export async function copySeal(
  copy: Copy,
  footers: readonly SegmentFooter[],
): Promise<"stored" | "present"> {
  const key = sealKey(copy.pack);
  const head = await copy.source.head(key);
  if (head === undefined) throw new BlobNotFoundError(key);
  const bytes = await readExactly(copy.source, key, 0, head.bytes);
  const seal = decodeSeal(bytes, key);
  if (seal.pack !== copy.pack) throw new WireError(`is the seal of ${seal.pack}`, key);
  if (seal.segments.length !== footers.length) {
    throw new WireError(`names ${seal.segments.length} segments of ${footers.length}`, key);
  }
  sealedTable(seal, Buffer.concat(footers.map(({ table }) => table.rows)));
  return copy.target.put(key, bytes);
}

/** The segment's bytes as they come, each piece verified before the bytes behind it are passed on. */
async function* verified(
  { source, signal, onBytes }: Copy,
  key: string,
  { table, trailer }: SegmentFooter,
): AsyncGenerator<Uint8Array, void, void> {
  let piece = 0;
  let left = table.encodedBytes(0);
  let hasher = new Blake3Hasher();
  for await (const buffer of source.get(key, { offset: 0, bytes: table.encodedTotalBytes })) {
    signal.throwIfAborted();
    onBytes(buffer.length);
    for (let at = 0; at < buffer.length; ) {
      const part = buffer.subarray(at, at + left);
      hasher.update(part);
      at += part.length;
      left -= part.length;
      if (left > 0) continue;
      if (Buffer.compare(hasher.digestBuffer(), table.digest(piece)) !== 0) {
        const what = `piece ${trailer.firstPiece + piece} does not have its digest`;
        throw new WireError(`${what}; the origin's bytes are corrupt and were not stored`, key);
      }
      piece += 1;
      if (piece === table.count) break;
      left = table.encodedBytes(piece);
      hasher = new Blake3Hasher();
    }
    yield buffer;
    freeMemory(buffer);
  }
  if (piece !== table.count) throw new WireError(`ends within piece ${piece}`, key);
  yield table.rows;
  yield encodeTrailer(trailer);
}
