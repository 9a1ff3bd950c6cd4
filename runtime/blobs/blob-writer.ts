// How a file: store takes a blob: written to a temporary file on the same file system, synced, and
// linked to its name. link() fails when the name exists, so the first put wins and what is visible is
// always whole; the directory is synced before the put is acknowledged.
import { link, lstat, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { BlobDirectories } from "./blob-directories.ts";
import { blobFailure, isCode } from "./blob-failures.ts";
import { type BlobPlace, isProcessAlive, isStaleTemp, placePath, tempName } from "./blob-paths.ts";
import { BlobUnavailableError, type Shared } from "./blob-store.ts";

/** Tries to link while other processes remove the directory that is just being filled. */
const LINK_TRIES_MAX = 10;

/** Another file system, one without links, somebody else's file, or one with too many names. */
const NOT_LINKED = ["EXDEV", "EPERM", "EOPNOTSUPP", "EMLINK"];

/** What was thrown by the caller's part of a put. */
interface Failed {
  caller?: unknown;
}

/** The bytes of a blob, at once or as they come. */
export type BlobBody = Uint8Array | AsyncIterable<Uint8Array>;

/** The writing half of a file: store; `root` and `temps` are real paths of one file system. */
export class BlobWriter {
  readonly #root: string;
  readonly #temps: string;
  readonly #directories: BlobDirectories;

  constructor(root: string, temps: string, directories: BlobDirectories) {
    this.#root = root;
    this.#temps = temps;
    this.#directories = directories;
  }

  /** Puts a blob that seems absent; false when another put was first. */
  async store(place: BlobPlace, body: BlobBody): Promise<boolean> {
    const temp = join(this.#temps, tempName());
    const failed: Failed = {};
    return await this.#finish(temp, place, failed, () =>
      writeSynced(temp, body instanceof Uint8Array ? [body] : noting(body, failed)),
    );
  }

  /** Gives the synced file at `path` a further name, once `verified` resolves; "apart" where it may have none. */
  async share(place: BlobPlace, path: string, verified: () => Promise<void>): Promise<Shared> {
    const temp = join(this.#temps, tempName());
    try {
      await link(path, temp);
    } catch (error) {
      if (NOT_LINKED.some((code) => isCode(error, code))) return "apart";
      throw blobFailure(error, `blob ${path}`, this.#root);
    }
    const failed: Failed = {};
    const isStored = await this.#finish(temp, place, failed, async () => {
      await verified().catch((error: unknown) => {
        failed.caller = error;
        throw error;
      });
    });
    return isStored ? "stored" : "present";
  }

  /** Fills the temporary file and gives it its name; what the caller's part throws is no fault of the store. */
  async #finish(
    temp: string,
    place: BlobPlace,
    failed: Failed,
    fill: () => Promise<void>,
  ): Promise<boolean> {
    try {
      await fill();
      const stored = await this.#link(temp, place);
      await this.#directories.sync(place.directory);
      return stored;
    } catch (error) {
      if (error === failed.caller) throw error;
      throw blobFailure(error, `blob ${join(place.directory, place.name)}`, this.#root);
    } finally {
      await rm(temp, { force: true });
    }
  }

  /** Ends a put of a blob that is there: its body is closed unread, its name made durable. */
  async skip(place: BlobPlace, body: BlobBody): Promise<void> {
    if (!(body instanceof Uint8Array)) for await (const _ of body) break;
    await this.#directories.sync(place.directory);
  }

  async #link(temp: string, place: BlobPlace): Promise<boolean> {
    const path = placePath(this.#root, place);
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#directories.ensure(place.directory);
        if (await this.#directories.check(place.directory)) {
          await link(temp, path);
          return true;
        }
      } catch (error) {
        if (isCode(error, "EEXIST") && (await isFile(path))) return false;
        const raced = isCode(error, "EEXIST") || isCode(error, "ENOENT");
        if (!raced || tries === LINK_TRIES_MAX) throw error;
      }
      this.#directories.forget(place.directory);
    }
  }
}

/** Removes the temporary files of writers that are gone. */
export async function removeStaleTemps(temps: string): Promise<void> {
  for (const name of await readdir(temps)) {
    const path = join(temps, name);
    const modifiedMs = (await lstat(path).catch(() => undefined))?.mtimeMs;
    if (modifiedMs === undefined || !isStaleTemp(name, modifiedMs, isProcessAlive)) continue;
    await rm(path, { force: true });
  }
}

async function writeSynced(
  path: string,
  body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const handle = await open(path, "wx", 0o644);
  try {
    for await (const part of body) await handle.writeFile(part);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Passes the body on, noting what it throws: that error is the caller's, not the store's. */
async function* noting(
  body: AsyncIterable<Uint8Array>,
  failed: Failed,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* body;
  } catch (error) {
    failed.caller = error;
    throw error;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    if ((await lstat(path)).isFile()) return true;
  } catch (error) {
    // Deleted since: the put tries again.
    if (isCode(error, "ENOENT")) return false;
    throw error;
  }
  throw new BlobUnavailableError(`${path} is not a plain file: the blob store cannot use it`);
}
