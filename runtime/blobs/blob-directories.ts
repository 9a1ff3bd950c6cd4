// The directories of a file: store: made durable before a blob is linked into them, removed when the
// last blob is gone, and never a way out of the root: a directory that is a symbolic link is refused.
import { lstat, mkdir, open, realpath, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isCode } from "./blob-failures.ts";
import { BlobUnavailableError } from "./blob-store.ts";

/** Directories remembered as durable: 4,096 paths of about 100 bytes are 400 KB. */
const DURABLE_MAX = 4096;

/** The directories below one root; paths are relative to it, "" is the root itself. */
export class BlobDirectories {
  readonly #root: string;
  readonly #durable = new Map<string, Promise<void>>();

  /** `root` must be a real path, without symbolic links. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Makes a directory and its parents; when it resolves, their names are durable. */
  ensure(directory: string): Promise<void> {
    if (directory === "") return Promise.resolve();
    const known = this.#durable.get(directory);
    if (known !== undefined) return known;
    const made = this.#make(directory);
    if (this.#durable.size >= DURABLE_MAX) this.#durable.clear();
    this.#durable.set(directory, made);
    made.catch(() => this.forget(directory));
    return made;
  }

  /** Forgets that a directory and its parents are there: another process may have removed them. */
  forget(directory: string): void {
    for (let path = directory; path !== ""; path = parent(path)) this.#durable.delete(path);
  }

  /** Whether the directory exists; throws BlobUnavailableError when a link leads elsewhere. */
  async check(directory: string): Promise<boolean> {
    const expected = join(this.#root, directory);
    try {
      const actual = await realpath(expected);
      if (actual === expected) return true;
      throw new BlobUnavailableError(
        `${expected} leads to ${actual}: the blob store follows no symbolic links, remove it`,
      );
    } catch (error) {
      if (isCode(error, "ENOENT") || isCode(error, "ENOTDIR")) return false;
      throw error;
    }
  }

  /** Makes the names in a directory durable; one that was removed meanwhile has none. */
  async sync(directory: string): Promise<void> {
    try {
      await syncDirectory(join(this.#root, directory));
    } catch (error) {
      if (!isCode(error, "ENOENT")) throw error;
    }
  }

  /** Removes a directory and its parents as far as they are empty. */
  async prune(directory: string): Promise<void> {
    for (let path = directory; path !== ""; path = parent(path)) {
      this.#durable.delete(path);
      try {
        await rmdir(join(this.#root, path));
      } catch {
        // Not empty, or gone: either way there is nothing to do above it.
        return;
      }
    }
  }

  async #make(directory: string): Promise<void> {
    const above = parent(directory);
    await this.ensure(above);
    const path = join(this.#root, directory);
    try {
      await mkdir(path, { mode: 0o755 });
    } catch (error) {
      if (!isCode(error, "EEXIST")) throw error;
      if (!(await lstat(path)).isDirectory()) {
        throw new BlobUnavailableError(`${path} is not a directory: the blob store cannot use it`);
      }
    }
    // Also when it was there: another process may have made it and not synced yet.
    await this.sync(above);
  }
}

/** Makes the names in the directory at an absolute path durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function parent(path: string): string {
  const above = dirname(path);
  return above === "." ? "" : above;
}
