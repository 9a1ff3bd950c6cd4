// Writes a release's entries into a folder that is fresh and ours: nothing there is followed or
// overwritten. It flushes nothing. Entries come sorted by path, so each folder is made once, when it is first needed. Three
// system calls a small file, made at once: a promise for each would take longer than the call.
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  mkdirSync,
  openSync,
  symlinkSync,
  write,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ReleaseEntry } from "../../core/release/entry.ts";
import { writeBytes } from "../../runtime/file-bytes.ts";

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
/** Mode of a folder that stands for itself only by what is in it. */
const FOLDER_MODE = 0o755;
/** Longer writes are left to another thread, so that the network is served meanwhile. */
const SYNC_BYTES_MAX = 256 * 1024;

const writeAsync = promisify(write);

export class TreeWriter {
  readonly #root: string;
  readonly #umask = process.umask();
  /** Parts of the folder that the last entry was in. */
  #inside: readonly string[] = [];
  #fd = -1;

  /** `root` is made here, and must not exist. */
  constructor(root: string) {
    this.#root = root;
    mkdirSync(this.#root, FOLDER_MODE);
  }

  /** Begins an entry; a file's bytes follow by `write`, and `end`. */
  begin(entry: ReleaseEntry): void {
    const path = this.#enter(entry.path);
    switch (entry.kind) {
      case "file":
        this.#fd = openSync(path, CREATE, entry.mode);
        if (this.#isMasked(entry.mode)) fchmodSync(this.#fd, entry.mode);
        return;
      case "symlink":
        symlinkSync(entry.target, path);
        return;
      case "directory":
        mkdirSync(path, entry.mode);
        if (this.#isMasked(entry.mode)) chmodSync(path, entry.mode);
        return;
      default:
        entry.kind satisfies never;
    }
  }

  /** Makes the folders of a file that is put there by somebody else, and gives its path. */
  reserve(entry: ReleaseEntry): string {
    return this.#enter(entry.path);
  }

  /** Appends to the file; wait for a promise before the bytes are used again. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (bytes.length > SYNC_BYTES_MAX) return this.#writeLong(bytes);
    writeBytes(this.#fd, bytes);
    return undefined;
  }

  /** Ends the file; also when it is given up half-way. */
  end(): void {
    if (this.#fd !== -1) closeSync(this.#fd);
    this.#fd = -1;
  }

  async #writeLong(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await writeAsync(this.#fd, bytes, at, bytes.length - at);
      at += bytesWritten;
    }
  }

  #isMasked(mode: number): boolean {
    return (mode & this.#umask) !== 0;
  }

  /** Makes the folders that an entry is in, and gives its path on disk. */
  #enter(path: string): string {
    const end = path.lastIndexOf("/");
    if (end === -1) {
      this.#inside = [];
      return join(this.#root, path);
    }
    const parts = path.slice(0, end).split("/");
    let common = 0;
    while (common < this.#inside.length && parts[common] === this.#inside[common]) common += 1;
    for (let depth = common; depth < parts.length; depth += 1) {
      const folder = join(this.#root, ...parts.slice(0, depth + 1));
      mkdirSync(folder, FOLDER_MODE);
    }
    this.#inside = parts;
    return `${this.#root}/${path}`;
  }
}
