// The file: driver of the blob store: one directory tree, which several processes may share. Under the
// root, blobs/ holds the blobs and .tmp/ what is being written. This file opens the tree and reads;
// blob-writer.ts writes, blob-walk.ts lists, blob-paths.ts knows what is where.
import { constants } from "node:fs";
import { type FileHandle, lstat, mkdir, open, realpath, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { readBytes } from "../file-bytes.ts";
import { BlobDirectories, syncDirectory } from "./blob-directories.ts";
import { blobFailure, isCode } from "./blob-failures.ts";
import { blobPlace, placePath } from "./blob-paths.ts";
import {
  type BlobHead,
  type BlobListOptions,
  BlobNotFoundError,
  type BlobPage,
  type BlobRange,
  type BlobStore,
  BlobUnavailableError,
  blobCount,
  blobKey,
  blobListLimit,
  blobPrefix,
  type Shared,
} from "./blob-store.ts";
import { blobHead, listBlobs } from "./blob-walk.ts";
import { type BlobBody, BlobWriter, removeStaleTemps } from "./blob-writer.ts";
import { OpenFiles } from "./open-files.ts";

/** Bytes of one buffer that get() yields: the way to a thread and back costs as much as copying half of it. */
const GET_BYTES = 512 << 10;

/** Opens or creates the blob store at `root`, and clears what dead writers left behind. */
export async function openFileBlobs(root: string): Promise<FileBlobs> {
  const path = resolve(root);
  try {
    const created = await mkdir(path, { recursive: true });
    const real = await realpath(path);
    for (const part of ["blobs", ".tmp"]) {
      await mkdir(join(real, part), { recursive: true });
      if ((await lstat(join(real, part))).isDirectory()) continue;
      throw new BlobUnavailableError(`${join(real, part)} is not a directory of a blob store`);
    }
    await syncDirectory(real);
    if (created !== undefined) await syncDirectory(dirname(created));
    await removeStaleTemps(join(real, ".tmp"));
    return new FileBlobs(real);
  } catch (error) {
    throw blobFailure(error, "the blob store", path);
  }
}

/** The blob store below one directory; see BlobStore for what each call promises. */
export class FileBlobs implements BlobStore {
  readonly place: string;
  readonly #root: string;
  readonly #directories: BlobDirectories;
  readonly #writer: BlobWriter;
  readonly #files = new OpenFiles((key) => this.#open(key));
  readonly #puts = new Set<Promise<unknown>>();
  #closed = false;

  /** `root` is a real path with blobs/ and .tmp/ in it; openFileBlobs makes them. */
  constructor(root: string) {
    this.place = `file:${root}`;
    this.#root = join(root, "blobs");
    this.#directories = new BlobDirectories(this.#root);
    this.#writer = new BlobWriter(this.#root, join(root, ".tmp"), this.#directories);
  }

  put(key: string, body: BlobBody): Promise<"stored" | "present"> {
    return this.#noted(key, () => this.#put(key, body));
  }

  share(key: string, from: BlobStore, verified: () => Promise<void>): Promise<Shared> {
    return this.#noted(key, async () =>
      from instanceof FileBlobs ? await this.#share(key, from, verified) : "apart",
    );
  }

  async *get(key: string, range?: BlobRange): AsyncGenerator<Uint8Array, void, void> {
    blobKey(key);
    const offset = blobCount(range?.offset ?? 0, "offset");
    const bytes = blobCount(range?.bytes ?? Number.MAX_SAFE_INTEGER, "length");
    this.#checkOpen();
    const pin = this.#files.pin(key);
    try {
      const handle = await pin.handle;
      const end = Math.min((await handle.stat()).size, offset + bytes);
      for (let at = offset; at < end; ) {
        const buffer = new Uint8Array(Buffer.allocUnsafeSlow(Math.min(GET_BYTES, end - at)).buffer);
        const count = await fill(handle, at, buffer);
        if (count < buffer.length) {
          throw new BlobUnavailableError(`blob ${key} was cut off at byte ${at + count}`);
        }
        yield buffer;
        at += count;
      }
    } catch (error) {
      throw this.#failure(error, key);
    } finally {
      pin.release();
    }
  }

  async read(key: string, offset: number, target: Uint8Array): Promise<number> {
    blobKey(key);
    blobCount(offset, "offset");
    this.#checkOpen();
    const pin = this.#files.pin(key);
    try {
      // Blocks that were just mirrored, mostly. Where the disk has to be asked it takes no longer, but others wait.
      return readBytes((await pin.handle).fd, target, offset);
    } catch (error) {
      throw this.#failure(error, key);
    } finally {
      pin.release();
    }
  }

  async head(key: string): Promise<BlobHead | undefined> {
    const { directory } = blobPlace(blobKey(key));
    this.#checkOpen();
    try {
      if (!(await this.#directories.check(directory))) return undefined;
      return await blobHead(this.#root, key);
    } catch (error) {
      throw this.#failure(error, key);
    }
  }

  async list(prefix: string, options: BlobListOptions = {}): Promise<BlobPage> {
    blobPrefix(prefix);
    const { after = "" } = options;
    const limit = blobListLimit(options.limit);
    this.#checkOpen();
    const directory = prefix.slice(0, Math.max(0, prefix.lastIndexOf("/")));
    try {
      if (!(await this.#directories.check(directory))) return { blobs: [], more: false };
      return await listBlobs(this.#root, prefix, after, limit);
    } catch (error) {
      throw this.#failure(error, `${prefix}*`);
    }
  }

  async delete(key: string): Promise<boolean> {
    const place = blobPlace(blobKey(key));
    this.#checkOpen();
    try {
      if (!(await this.#directories.check(place.directory))) return false;
      await unlink(placePath(this.#root, place));
    } catch (error) {
      if (isCode(error, "ENOENT")) return false;
      throw this.#failure(error, key);
    } finally {
      this.#files.drop(key);
    }
    await this.#directories.prune(place.directory);
    return true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#puts);
    await this.#files.close();
  }

  async #put(key: string, body: BlobBody): Promise<"stored" | "present"> {
    const place = blobPlace(key);
    if (await this.head(key)) {
      await this.#writer.skip(place, body);
      return "present";
    }
    return (await this.#writer.store(place, body)) ? "stored" : "present";
  }

  /** A second name for the other store's file, where it is on this file system. */
  async #share(key: string, from: FileBlobs, verified: () => Promise<void>): Promise<Shared> {
    const place = blobPlace(key);
    if (await this.head(key)) {
      await this.#directories.sync(place.directory);
      return "present";
    }
    if (!(await from.head(key))) throw new BlobNotFoundError(key);
    return await this.#writer.share(place, placePath(from.#root, place), verified);
  }

  /** Runs a put that `close` waits for. */
  async #noted<Outcome>(key: string, run: () => Promise<Outcome>): Promise<Outcome> {
    blobKey(key);
    this.#checkOpen();
    const put = run();
    this.#puts.add(put);
    try {
      return await put;
    } finally {
      this.#puts.delete(put);
    }
  }

  async #open(key: string): Promise<FileHandle> {
    const place = blobPlace(key);
    const found = await this.#directories.check(place.directory);
    if (!found) throw new BlobNotFoundError(key);
    const path = placePath(this.#root, place);
    try {
      return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if (isCode(error, "ENOENT")) throw new BlobNotFoundError(key);
      if (!isCode(error, "ELOOP")) throw error;
      throw new BlobUnavailableError(`${path} is a symbolic link: the blob store follows none`);
    }
  }

  #failure(error: unknown, key: string): unknown {
    return blobFailure(error, `blob ${key}`, this.#root);
  }

  #checkOpen(): void {
    if (this.#closed) throw new BlobUnavailableError(`blob store ${this.#root} is closed`);
  }
}

async function fill(handle: FileHandle, offset: number, target: Uint8Array): Promise<number> {
  let count = 0;
  while (count < target.length) {
    const left = target.length - count;
    const { bytesRead } = await handle.read(target, count, left, offset + count);
    if (bytesRead === 0) break;
    count += bytesRead;
  }
  return count;
}
