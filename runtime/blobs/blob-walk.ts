// Lists a file: store's keys in order, reading only the directories that can hold wanted ones. Links
// and whatever else is no plain file or directory of ours is passed over.
import type { Dirent } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isCode } from "./blob-failures.ts";
import { BLOB_MARK, blobPlace, placePath } from "./blob-paths.ts";
import { type BlobHead, type BlobPage, isBlobSegment } from "./blob-store.ts";

/** Sizes asked for at once: enough to keep the four threads of Node's pool busy. */
const SIZES_AT_ONCE = 32;

/** A page of the keys below `root` that start with `prefix` and come after `after`. */
export async function listBlobs(
  root: string,
  prefix: string,
  after: string,
  limit: number,
): Promise<BlobPage> {
  const blobs: BlobHead[] = [];
  let keys: string[] = [];
  const take = async () => {
    const heads = await Promise.all(keys.map((key) => blobHead(root, key)));
    keys = [];
    for (const head of heads) if (head) blobs.push(head);
  };
  const start = prefix.slice(0, prefix.lastIndexOf("/") + 1);
  for await (const key of walk(root, start, prefix, after)) {
    keys.push(key);
    if (keys.length === SIZES_AT_ONCE) await take();
    if (blobs.length > limit) break;
  }
  await take();
  return { blobs: blobs.slice(0, limit), more: blobs.length > limit };
}

/** Key and size of a blob, or undefined when there is none. */
export async function blobHead(root: string, key: string): Promise<BlobHead | undefined> {
  try {
    const stat = await lstat(placePath(root, blobPlace(key)));
    return stat.isFile() ? { key, bytes: stat.size } : undefined;
  } catch (error) {
    if (isCode(error, "ENOENT") || isCode(error, "ENOTDIR")) return undefined;
    throw error;
  }
}

async function* walk(
  root: string,
  directory: string,
  prefix: string,
  after: string,
): AsyncGenerator<string, void, void> {
  for (const name of await childNames(root, directory)) {
    const path = directory + name;
    if (name.endsWith("/")) {
      const within = path.startsWith(prefix) || prefix.startsWith(path);
      const done = path < after && !after.startsWith(path);
      if (within && !done) yield* walk(root, path, prefix, after);
    } else if (path.startsWith(prefix) && path > after) {
      yield path;
    }
  }
}

/** The names in a directory in key order: a directory sorts as its name and "/", as its keys do. */
async function childNames(root: string, directory: string): Promise<string[]> {
  let children: Dirent[];
  try {
    children = await readdir(join(root, directory), { withFileTypes: true });
  } catch (error) {
    if (isCode(error, "ENOENT") || isCode(error, "ENOTDIR")) return [];
    throw error;
  }
  const names: string[] = [];
  for (const child of children) {
    if (child.isDirectory() && isBlobSegment(child.name)) names.push(`${child.name}/`);
    if (!child.isFile() || !child.name.endsWith(BLOB_MARK)) continue;
    const segment = child.name.slice(0, -BLOB_MARK.length);
    if (isBlobSegment(segment)) names.push(segment);
  }
  return names.sort((a, b) => (a < b ? -1 : 1));
}
