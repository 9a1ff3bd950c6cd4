// Compares a tree on disk with its manifest, chunk by chunk, in little memory: is this still the release?
import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { join } from "node:path";
import { Blake3Hasher } from "@napi-rs/blake-hash";
import type { ReleaseEntry } from "../../core/release/entry.ts";
import { CHUNK_BYTES_MAX, DIGEST_BYTES } from "../../core/release/limits.ts";
import { type ManifestPart, readManifest } from "../../runtime/release/manifest-reader.ts";
import { digestOf } from "../../runtime/release/piece-codec.ts";

const READ_ONLY = constants.O_RDONLY | constants.O_NOFOLLOW;

/** Whether manifest and tree both are what the release's id says; any error means that they are not. */
export async function matchesManifest(
  release: string,
  manifest: string,
  root: string,
): Promise<boolean> {
  try {
    if ((await digestOfFile(manifest)) !== release) return false;
    const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES_MAX);
    for await (const parts of readManifest(manifest)) {
      for (const part of parts) {
        if (!matches(join(root, part.entry.path), part, buffer)) return false;
      }
    }
    return true;
  } catch {
    return false;
  }
}

async function digestOfFile(path: string): Promise<string> {
  const hasher = new Blake3Hasher();
  for await (const bytes of createReadStream(path)) hasher.update(bytes as Buffer);
  return hasher.digestBuffer().toString("hex");
}

function matches(path: string, part: ManifestPart, buffer: Buffer): boolean {
  const { entry } = part;
  const stat = lstatSync(path);
  if (entry.kind === "symlink") return stat.isSymbolicLink() && readlinkSync(path) === entry.target;
  if ((stat.mode & 0o7777) !== entry.mode) return false;
  if (entry.kind === "directory") return stat.isDirectory();
  return stat.isFile() && matchesFile(path, entry, part, buffer);
}

function matchesFile(
  path: string,
  entry: ReleaseEntry,
  part: ManifestPart,
  buffer: Buffer,
): boolean {
  const file = openSync(path, READ_ONLY);
  try {
    if (fstatSync(file).size !== entry.size) return false;
    let at = part.offset;
    for (const [i, size] of [...part.sizes].entries()) {
      const chunk = buffer.subarray(0, size);
      if (readSync(file, chunk, 0, size, at) !== size) return false;
      const digest = part.digests.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES);
      if (Buffer.compare(digestOf(chunk), digest) !== 0) return false;
      at += size;
    }
    return true;
  } finally {
    closeSync(file);
  }
}
