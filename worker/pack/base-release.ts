// An earlier release of the service, brought to the worker: its manifest and layout as files, and the
// piece tables of its packs. Kept in scratch space by release id, so that the next build finds them.
import { createReadStream } from "node:fs";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Blake3Hasher } from "@napi-rs/blake-hash";
import { PACKS_MAX } from "../../core/release/limits.ts";
import { PieceTable } from "../../core/release/piece-table.ts";
import { WireError } from "../../core/release/wire-error.ts";
import type { Extent, PackRef, Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { digestOf } from "../../runtime/release/piece-codec.ts";
import type { MetaKind } from "../../runtime/release/read-meta.ts";
import { readMeta } from "../../runtime/release/read-meta.ts";
import type { SealedPack } from "../../runtime/release/sealed-pack.ts";
import { openPack } from "../../runtime/release/sealed-pack.ts";

/** An earlier release, ready to be compared with. */
export interface BaseRelease {
  readonly release: Release;
  readonly manifestPath: string;
  readonly layoutPath: string;
  /** The packs of its layout, in the layout's order. */
  readonly packs: readonly { readonly ref: PackRef; readonly table: PieceTable }[];
}

/**
 * Fetches what is missing of the release's manifest, layout and piece tables to
 * `scratch/<release id>/`. Throws WireError when the origin holds something else than the record
 * says, BlobNotFoundError when a pack is gone: pack without that base then.
 */
export async function loadBase(
  origin: BlobStore,
  release: Release,
  scratch: string,
): Promise<BaseRelease> {
  const { layout } = release;
  const where = `release ${release.release}`;
  if (layout?.manifest === undefined || layout.table === undefined) {
    throw new WireError("has no layout", where);
  }
  if (layout.packs.length > PACKS_MAX) {
    throw new WireError(`${layout.packs.length} packs`, where, PACKS_MAX);
  }
  if (!/^[0-9a-f]{64}$/.test(release.release)) throw new WireError("is no digest", where);
  const folder = join(scratch, release.release);
  await mkdir(folder, { recursive: true });
  const opened = new Map<string, Promise<SealedPack>>();
  const open = (ref: PackRef) => {
    let pack = opened.get(ref.pack);
    if (pack === undefined) {
      pack = openPack(origin, ref.pack, ref);
      opened.set(ref.pack, pack);
    }
    return pack;
  };
  const packs: { readonly ref: PackRef; readonly table: PieceTable }[] = [];
  for (const ref of layout.packs) packs.push({ ref, table: await tableOf(ref, folder, open) });
  const fetch = async (kind: MetaKind, extent: Extent) => {
    // A layout is versioned apart from its release: its digest is in the name.
    const path = join(folder, `${kind}-${extent.digest.toString("hex")}`);
    if (await isWhole(path, extent)) return path;
    const pack = packs[extent.pack];
    if (pack === undefined) throw new WireError(`${kind} in pack ${extent.pack}`, where);
    const source = await open(pack.ref);
    const { table } = pack;
    await readMeta({ kind, extent, table, piece: (_, piece) => source.piece(piece) }, path);
    return path;
  };
  if (layout.manifest.digest.toString("hex") !== release.release) {
    throw new WireError("is not the digest of its manifest", where);
  }
  const manifestPath = await fetch("manifest", layout.manifest);
  const layoutPath = await fetch("layout", layout.table);
  return { release, manifestPath, layoutPath, packs };
}

async function tableOf(
  ref: PackRef,
  folder: string,
  open: (ref: PackRef) => Promise<SealedPack>,
): Promise<PieceTable> {
  const path = join(folder, `table-${ref.tableDigest.toString("hex")}`);
  const kept = await readFile(path).catch(() => undefined);
  if (kept !== undefined && Buffer.compare(digestOf(kept), ref.tableDigest) === 0) {
    return new PieceTable(kept, `pack ${ref.pack}`);
  }
  const { table } = await open(ref);
  await writeFile(`${path}.partial`, table.rows);
  await rename(`${path}.partial`, path);
  return table;
}

async function isWhole(path: string, extent: Extent): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found?.size !== extent.bytes) return false;
  const hasher = new Blake3Hasher();
  for await (const bytes of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hasher.update(bytes as Buffer);
  }
  return Buffer.compare(hasher.digestBuffer(), extent.digest) === 0;
}
