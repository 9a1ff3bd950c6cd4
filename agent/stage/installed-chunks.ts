// Chunks of an installed release, found by digest and read from its files. A file may have been
// changed by the service meanwhile: what is read counts only when its digest fits. Memory is 20 bytes
// a chunk and 8 a file; paths are kept in a file of their own.
import { closeSync, constants, ftruncateSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ChunkIndex } from "../../core/release/chunk-index.ts";
import { DIGEST_BYTES } from "../../core/release/limits.ts";
import { readBytes, writeBytes } from "../../runtime/file-bytes.ts";
import { readManifest, readManifestTotals } from "../../runtime/release/manifest-reader.ts";
import { digestOf } from "../../runtime/release/piece-codec.ts";

/** Chunks looked at: 24 MB of tables. Of a larger release the first ones are found. */
const CHUNKS_MAX = 1_000_000;
/** Bytes of a digest that the index looks at. */
const PREFIX_BYTES = 8;
/** Paths written at once. */
const BATCH_BYTES = 64 * 1024;
/** The service may have put anything there: no link is followed, no FIFO waited for. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export class InstalledChunks {
  readonly #tree: string;
  readonly #index: ChunkIndex;
  /** Where in its file each chunk begins. */
  readonly #offsets: Float64Array;
  /** First chunk of each file, ascending. */
  readonly #firstRows: Uint32Array;
  /** Where the path of each file ends in the file of paths. */
  readonly #pathEnds: Uint32Array;
  readonly #paths: number;
  #openFile = { index: -1, fd: -1 };

  /** Indexes the release whose manifest and tree these are; `scratch` is a path for a file of its own. */
  static async open(manifest: string, tree: string, scratch: string): Promise<InstalledChunks> {
    const totals = await readManifestTotals(manifest);
    const rows = Math.min(totals.chunks, CHUNKS_MAX);
    const prefixes = new Uint8Array(rows * PREFIX_BYTES);
    const offsets = new Float64Array(rows);
    const firstRows = new Uint32Array(Math.min(totals.entries, rows));
    const pathEnds = new Uint32Array(firstRows.length);
    const paths = new PathFile(scratch);
    let files = 0;
    for await (const parts of readManifest(manifest)) {
      for (const { entry, firstRow, offset, digests, sizes, first } of parts) {
        if (sizes.length === 0 || firstRow >= rows) continue;
        if (first || files === 0) {
          firstRows[files] = firstRow;
          pathEnds[files] = paths.append(entry.path);
          files += 1;
        }
        let at = offset;
        for (let i = 0; i < sizes.length && firstRow + i < rows; i += 1) {
          const row = firstRow + i;
          const from = i * DIGEST_BYTES;
          prefixes.set(digests.subarray(from, from + PREFIX_BYTES), row * PREFIX_BYTES);
          offsets[row] = at;
          at += sizes[i] as number;
        }
      }
    }
    const index = new ChunkIndex(prefixes, rows, PREFIX_BYTES);
    const known = { firstRows: firstRows.subarray(0, files), pathEnds, offsets };
    return new InstalledChunks(tree, index, known, paths.finish());
  }

  private constructor(
    tree: string,
    index: ChunkIndex,
    known: {
      readonly firstRows: Uint32Array;
      readonly pathEnds: Uint32Array;
      readonly offsets: Float64Array;
    },
    paths: number,
  ) {
    this.#tree = tree;
    this.#index = index;
    this.#firstRows = known.firstRows;
    this.#pathEnds = known.pathEnds;
    this.#offsets = known.offsets;
    this.#paths = paths;
  }

  /** Whether the chunk with the digest at `at` of `digests` seems to be there. */
  has(digests: Uint8Array, at: number): boolean {
    return this.#index.find(digests, at) !== -1;
  }

  /** Fills `target` with the chunk; false where it is not there, or not any more. */
  read(digests: Uint8Array, at: number, target: Buffer): boolean {
    const digest = digests.subarray(at, at + DIGEST_BYTES);
    for (let hit = this.#index.find(digests, at); hit !== -1; hit = this.#index.after(hit)) {
      if (!this.#readRow(this.#index.rowAt(hit), target)) continue;
      if (Buffer.compare(digestOf(target), digest) === 0) return true;
    }
    return false;
  }

  close(): void {
    this.#closeFile();
    closeSync(this.#paths);
  }

  #readRow(row: number, target: Buffer): boolean {
    const file = this.#fileOf(row);
    try {
      if (this.#openFile.index !== file) {
        this.#closeFile();
        const fd = openSync(join(this.#tree, this.#pathOf(file)), READ_FLAGS);
        this.#openFile = { index: file, fd };
      }
      const offset = this.#offsets[row] as number;
      return readBytes(this.#openFile.fd, target, offset) === target.length;
    } catch {
      // Gone, replaced by a folder, unreadable: the chunk is fetched instead.
      return false;
    }
  }

  /** The last file that begins at or before the row. */
  #fileOf(row: number): number {
    let low = 0;
    let high = this.#firstRows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#firstRows[middle] as number) <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #pathOf(file: number): string {
    const from = file === 0 ? 0 : (this.#pathEnds[file - 1] as number);
    const bytes = Buffer.alloc((this.#pathEnds[file] as number) - from);
    readBytes(this.#paths, bytes, from);
    return bytes.toString("utf8");
  }

  #closeFile(): void {
    if (this.#openFile.fd !== -1) closeSync(this.#openFile.fd);
    this.#openFile = { index: -1, fd: -1 };
  }
}

/** Paths back to back, in a file without a name. */
class PathFile {
  readonly #fd: number;
  readonly #batch = Buffer.allocUnsafe(BATCH_BYTES);
  #filled = 0;
  #bytes = 0;

  constructor(path: string) {
    this.#fd = openSync(path, "wx+", 0o600);
    ftruncateSync(this.#fd);
    rmSync(path);
  }

  /** Where the path ends in the file. */
  append(path: string): number {
    const bytes = Buffer.byteLength(path);
    if (this.#filled + bytes > this.#batch.length) this.#flush();
    this.#filled += this.#batch.write(path, this.#filled);
    return this.#bytes + this.#filled;
  }

  finish(): number {
    this.#flush();
    return this.#fd;
  }

  #flush(): void {
    writeBytes(this.#fd, this.#batch.subarray(0, this.#filled), this.#bytes);
    this.#bytes += this.#filled;
    this.#filled = 0;
  }
}
