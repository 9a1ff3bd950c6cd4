// Packs a build's output: one pass over the tree that chunks, compares with earlier releases and
// streams what is new to the origin; then the chunks of packs not worth keeping, then the manifest and
// the layout, last the seal. Nothing is a release before the seal, and no file is held in memory.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DIGEST_BYTES, MANIFEST_BYTES_MAX } from "../../core/release/limits.ts";
import { packsToKeep } from "../../core/release/pack-choice.ts";
import { pieceBytesFor } from "../../core/release/piece-table.ts";
import { segmentBodyBytes } from "../../core/release/segment-trailer.ts";
import type { Extent, Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { sealKey } from "../../runtime/release/pack-keys.ts";
import type { PackSeal } from "../../runtime/release/seal.ts";
import { encodeSeal, makeSeal } from "../../runtime/release/seal.ts";
import { SegmentWriter } from "../../runtime/release/segment-writer.ts";
import type { BaseRelease } from "./base-release.ts";
import { KnownChunks } from "./known-chunks.ts";
import { PackError } from "./pack-error.ts";
import { PackThreads } from "./pack-threads.ts";
import { PieceQueue } from "./piece-queue.ts";
import { OWN_PACK, TreePass } from "./tree-pass.ts";
import type { Tree } from "./walk-tree.ts";
import type { MetaFile } from "./write-meta.ts";
import { writeMeta } from "./write-meta.ts";

export interface PackOptions {
  /** Directory or file that the build made. */
  readonly output: string;
  /** Id of the pack: build id, a dot, the attempt. */
  readonly pack: string;
  readonly origin: BlobStore;
  /** Earlier releases of the service, the likeliest to share chunks first. */
  readonly base?: readonly BaseRelease[];
  /** An existing folder for files of up to 300 MB, removed at the end. */
  readonly scratch: string;
  readonly threads: number;
  /** Called for each segment in order, once it is durable at the origin. */
  readonly onSegment: (rows: Uint8Array, segmentIndex: number) => void;
  /** Aborted: rejects with the reason, and no seal was written. */
  readonly signal: AbortSignal;
}

/** What the packer knows of a release; the worker adds whose it is. */
export type PackedRelease = Pick<
  Release,
  "release" | "bytes" | "entries" | "chunks" | "packedBytes" | "layout" | "singleFile"
>;

export interface PackResult {
  readonly release: PackedRelease;
  readonly seal: PackSeal;
}

/** Packs the output; rejects with PackError where it breaks a rule, and nothing is sealed then. */
export async function packOutput(options: PackOptions): Promise<PackResult> {
  const { signal } = options;
  signal.throwIfAborted();
  const folder = join(options.scratch, `pack-${options.pack}`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const threads = new PackThreads(options.threads, signal);
  try {
    return await packInto(folder, threads, options);
  } catch (error) {
    // What fails because of the abort is of no interest beside it.
    throw signal.aborted ? signal.reason : error;
  } finally {
    await threads.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function packInto(
  folder: string,
  threads: PackThreads,
  options: PackOptions,
): Promise<PackResult> {
  const { pack, origin, signal } = options;
  const entryFile = join(folder, "entries");
  const walking = threads.walk(options.output, entryFile);
  const [tree, known] = await Promise.all([walking, KnownChunks.of(options.base ?? [])]);
  const pieceBytes = pieceBytesFor(tree.bytes);
  const writer = new SegmentWriter({
    store: origin,
    pack,
    bodyBytesMax: segmentBodyBytes(pieceBytes),
    onStored: options.onSegment,
  });
  const abort = () => void writer.abort(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    const queue = new PieceQueue({ threads, writer, root: tree.root, entryFile, pieceBytes });
    const inFlightMax = options.threads + 2;
    const pass = new TreePass({ tree, entryFile, threads, known, queue, inFlightMax });
    await pass.chunk();
    const kept = packsToKeep(pass.uses());
    await pass.appendAllBut(new Set(kept));
    const meta = await packMeta(folder, entryFile, tree, pass, queue, kept, pieceBytes);
    await queue.drain(0);
    const { segments, rows } = await writer.finish();
    signal.throwIfAborted();
    const seal = makeSeal(pack, segments, rows);
    if ((await origin.put(sealKey(pack), encodeSeal(seal))) === "present") {
      throw new Error(`pack ${pack} is sealed already, and a pack is written only once`);
    }
    return { release: record(tree, pass, known, kept, meta, seal), seal };
  } catch (error) {
    await writer.abort(error as Error);
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

interface Meta {
  readonly manifest: Extent;
  readonly table: Extent;
}

/** Writes manifest and layout, and has their pieces made. */
async function packMeta(
  folder: string,
  entryFile: string,
  tree: Tree,
  pass: TreePass,
  queue: PieceQueue,
  kept: readonly number[],
  pieceBytes: number,
): Promise<Meta> {
  const own = kept.length;
  const numbers = new Map(kept.map((pack, index) => [pack, index]));
  const { manifest, layout } = await writeMeta({
    tree,
    entryFile,
    rows: pass.rows,
    counts: pass.counts,
    listed: (pack) => (pack === OWN_PACK ? own : (numbers.get(pack) as number)),
    manifestPath: join(folder, "manifest"),
    layoutPath: join(folder, "layout"),
  });
  if (manifest.bytes > MANIFEST_BYTES_MAX) {
    const what = `the manifest of the output has ${manifest.bytes} bytes`;
    const advice = "shorten its paths or pack many small files into fewer";
    throw new PackError(
      "manifest-too-large",
      `${what}, the limit is ${MANIFEST_BYTES_MAX}; ${advice}`,
    );
  }
  const extent = async (kind: "manifest" | "layout", file: MetaFile): Promise<Extent> => {
    const firstPiece = queue.next;
    for (let offset = 0; offset < file.bytes; offset += pieceBytes) {
      const bytes = Math.min(pieceBytes, file.bytes - offset);
      queue.meta({ kind, path: file.path, offset, bytes });
      await queue.drain(pass.inFlightMax);
    }
    const pieces = queue.next - firstPiece;
    return { pack: own, firstPiece, pieces, bytes: file.bytes, digest: Buffer.from(file.digest) };
  };
  return { manifest: await extent("manifest", manifest), table: await extent("layout", layout) };
}

function record(
  tree: Tree,
  pass: TreePass,
  known: KnownChunks,
  kept: readonly number[],
  { manifest, table }: Meta,
  seal: PackSeal,
): PackedRelease {
  if (manifest.digest.length !== DIGEST_BYTES) throw new Error("a digest has 32 bytes");
  const own = {
    pack: seal.pack,
    pieces: seal.pieces,
    bytes: seal.bytes,
    tableDigest: seal.tableDigest,
    segments: seal.segments.length,
  };
  const packs = kept.map((pack) => (known.packs[pack] as KnownChunks["packs"][number]).ref);
  return {
    release: manifest.digest.toString("hex"),
    bytes: tree.bytes,
    entries: tree.entries,
    chunks: pass.rows.count,
    packedBytes: seal.bytes,
    layout: { version: 1, packs: [...packs, own], manifest, table, deltaPacks: [] },
    singleFile: tree.singleFile,
  };
}
