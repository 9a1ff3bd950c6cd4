// Trees for the packer's tests: a plain model of one, written to disk, read back, packed with a file:
// origin, and put together again from nothing but what lies at the origin.
import { createHash } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Release } from "../../../proto/gen/millrace/v1/release_format.ts";
import type { BlobStore } from "../../../runtime/blobs/blob-store.ts";
import { openFileBlobs } from "../../../runtime/blobs/file-blobs.ts";
import { decodePiece, digestOf } from "../../../runtime/release/piece-codec.ts";
import type { SealedPack } from "../../../runtime/release/sealed-pack.ts";
import { openPack } from "../../../runtime/release/sealed-pack.ts";
import { walkRelease } from "../../../runtime/release/walk-release.ts";
import type { BaseRelease } from "../../../worker/pack/base-release.ts";
import { loadBase } from "../../../worker/pack/base-release.ts";
import type { PackResult } from "../../../worker/pack/pack-output.ts";
import { packOutput } from "../../../worker/pack/pack-output.ts";

/** What is at each path: a file's bytes and mode, a link's target, or an empty directory. */
export type TreeModel = Record<
  string,
  { readonly bytes: Uint8Array; readonly mode?: number } | { readonly target: string } | "empty"
>;

/** A folder with an origin and an output, and what was packed so far. */
export interface Workshop {
  readonly folder: string;
  readonly output: string;
  readonly scratch: string;
  readonly origin: BlobStore;
}

/** Opens a workshop, uses it, and removes it. */
export async function inWorkshop(use: (workshop: Workshop) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-pack-"));
  const origin = await openFileBlobs(join(folder, "origin"));
  const scratch = join(folder, "scratch");
  mkdirSync(scratch);
  try {
    await use({ folder, output: join(folder, "output"), scratch, origin });
  } finally {
    await origin.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Packs the workshop's output as it is. */
export function pack(
  workshop: Workshop,
  number: number,
  base: readonly BaseRelease[] = [],
  threads = 2,
): Promise<PackResult> {
  return packOutput({
    ...workshop,
    pack: `b-0123456789abcdef.${number}`,
    base,
    threads,
    onSegment: () => {},
    signal: new AbortController().signal,
  });
}

/** The packed release as a base for the next. */
export function baseOf(workshop: Workshop, { release }: PackResult): Promise<BaseRelease> {
  return loadBase(workshop.origin, Release.fromPartial(release), workshop.scratch);
}

/** Writes the tree anew. */
export function writeTree(root: string, tree: TreeModel): void {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  for (const [path, node] of Object.entries(tree)) {
    const at = join(root, path);
    mkdirSync(node === "empty" ? at : dirname(at), { recursive: true });
    if (node === "empty") continue;
    if ("target" in node) symlinkSync(node.target, at);
    else {
      writeFileSync(at, node.bytes);
      chmodSync(at, node.mode ?? 0o644);
    }
  }
}

/** A line for each file, link and empty directory under the root, in order. */
export function listTree(root: string, prefix = ""): string[] {
  const lines: string[] = [];
  for (const name of readdirSync(join(root, prefix))) {
    const path = join(prefix, name);
    const stats = lstatSync(join(root, path));
    const mode = (stats.mode & 0o7777).toString(8);
    if (stats.isSymbolicLink()) lines.push(`${path} -> ${readlinkSync(join(root, path))}`);
    else if (stats.isFile()) {
      const bytes = readFileSync(join(root, path));
      lines.push(`${path} ${mode} ${createHash("sha256").update(bytes).digest("hex")}`);
    } else {
      const within = listTree(root, path);
      lines.push(...(within.length === 0 ? [`${path}/ ${mode}`] : within));
    }
  }
  return lines.sort();
}

/** Puts a release together under the root from the origin alone, verifying each chunk. */
export async function unpack(workshop: Workshop, result: PackResult, root: string): Promise<void> {
  const scratch = mkdtempSync(join(workshop.folder, "unpack-"));
  const base = await loadBase(workshop.origin, Release.fromPartial(result.release), scratch);
  const packs: SealedPack[] = [];
  for (const { ref } of base.packs) packs.push(await openPack(workshop.origin, ref.pack, ref));
  const pieces = new Map<string, Uint8Array>();
  const plain = async (pack: number, piece: number): Promise<Uint8Array> => {
    const key = `${pack} ${piece}`;
    const source = packs[pack] as SealedPack;
    const kept = pieces.get(key);
    const bytes =
      kept ?? (await decodePiece(await source.piece(piece), source.table.row(piece), key));
    pieces.set(key, bytes);
    return bytes;
  };
  mkdirSync(root, { recursive: true });
  for await (const parts of walkRelease(base.manifestPath, base.layoutPath, packs.length)) {
    for (const part of parts) {
      const { entry, places, sizes, digests } = part;
      const at = join(root, entry.path);
      if (part.first) mkdirSync(dirname(at), { recursive: true });
      if (entry.kind === "symlink") symlinkSync(entry.target, at);
      if (entry.kind === "directory") mkdirSync(at);
      if (entry.kind === "file" && part.first) writeFileSync(at, "", { flag: "wx" });
      for (const [i, place] of places.entries()) {
        const piece = await plain(place.pack, place.piece);
        const chunk = piece.subarray(place.offset, place.offset + (sizes[i] as number));
        const digest = digests.subarray(32 * i, 32 * i + 32);
        if (Buffer.compare(digestOf(chunk), digest) !== 0) throw new Error(`${entry.path}: chunk`);
        writeFileSync(at, chunk, { flag: "a" });
      }
      if (part.last && entry.kind !== "symlink") chmodSync(at, entry.mode);
    }
  }
}

/** Bytes that do not compress, the same for the same seed. */
export function noise(seed: number, length: number): Buffer {
  const words = new Int32Array(Math.ceil(length / 4));
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  for (let i = 0; i < words.length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}
