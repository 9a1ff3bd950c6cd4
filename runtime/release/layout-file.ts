// The layout file on disk: 12 bytes a chunk row, written and read from front to back beside the
// manifest. It says where chunks lie; whether they do is the piece tables' and the digests' business.
import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import type { ChunkPlace } from "../../core/release/layout-row.ts";
import { LAYOUT_ROW_BYTES, readLayoutRow, writeLayoutRow } from "../../core/release/layout-row.ts";
import { CHUNKS_MAX } from "../../core/release/limits.ts";
import { WireError } from "../../core/release/wire-error.ts";
import { HashedFile } from "./hashed-file.ts";

/** Rows written or read at once: 192 KiB. */
const BATCH_ROWS = 16 * 1024;

/** Writes the rows of a layout file in order and hashes them. */
export class LayoutWriter {
  readonly #file: HashedFile;
  readonly #batch = Buffer.alloc(BATCH_ROWS * LAYOUT_ROW_BYTES);
  readonly #view = new DataView(this.#batch.buffer, this.#batch.byteOffset, this.#batch.length);
  #filled = 0;

  /** Creates or empties the file at the path. */
  constructor(path: string) {
    this.#file = new HashedFile(path);
  }

  row(place: ChunkPlace): void {
    writeLayoutRow(place, this.#view, this.#filled);
    this.#filled += LAYOUT_ROW_BYTES;
    if (this.#filled === this.#batch.length) this.#flush();
  }

  /** Closes the file. */
  finish(): { readonly digest: Uint8Array; readonly bytes: number } {
    this.#flush();
    return this.#file.finish();
  }

  /** Closes the file without finishing it. */
  close(): void {
    this.#file.close();
  }

  #flush(): void {
    this.#file.append(this.#batch.subarray(0, this.#filled));
    this.#filled = 0;
  }
}

/** Reads the rows of a layout file in order. */
export class LayoutReader {
  readonly #file: FileHandle;
  readonly #where: string;
  readonly #bytes: number;
  readonly #batch = Buffer.allocUnsafe(BATCH_ROWS * LAYOUT_ROW_BYTES);
  readonly #view = new DataView(this.#batch.buffer, this.#batch.byteOffset, this.#batch.length);
  /** The batch holds bytes up to `#read` of the file, of which `#left` were not asked for yet. */
  #read = 0;
  #left = 0;
  #filled = 0;

  private constructor(file: FileHandle, bytes: number, where: string) {
    this.#file = file;
    this.#bytes = bytes;
    this.#where = where;
  }

  /** Opens a file; throws WireError when its size is no whole number of rows or over the limit. */
  static async open(path: string, where = path): Promise<LayoutReader> {
    const file = await open(path, "r");
    const { size } = await file.stat();
    const rows = size / LAYOUT_ROW_BYTES;
    if (Number.isInteger(rows) && rows <= CHUNKS_MAX) return new LayoutReader(file, size, where);
    await file.close();
    throw new WireError(`${size} bytes are no ${CHUNKS_MAX} rows or fewer of 12`, where);
  }

  /** The next `count` rows; throws WireError when there are fewer, or one that no pack can have. */
  async next(count: number): Promise<ChunkPlace[]> {
    const places: ChunkPlace[] = [];
    while (places.length < count) {
      if (this.#left === 0) await this.#fill();
      const at = this.#filled - this.#left;
      places.push(readLayoutRow(this.#view, at, this.#where));
      this.#left -= LAYOUT_ROW_BYTES;
    }
    return places;
  }

  /** Throws WireError when rows are left. */
  end(): void {
    const left = this.#bytes - this.#read + this.#left;
    if (left === 0) return;
    throw new WireError(`${left} bytes beyond the manifest's rows`, this.#where);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #fill(): Promise<void> {
    const bytes = Math.min(this.#batch.length, this.#bytes - this.#read);
    if (bytes === 0) throw new WireError("ends before the manifest's rows", this.#where);
    for (let done = 0; done < bytes; ) {
      const { bytesRead } = await this.#file.read(
        this.#batch,
        done,
        bytes - done,
        this.#read + done,
      );
      if (bytesRead === 0) throw new WireError("became shorter while it was read", this.#where);
      done += bytesRead;
    }
    this.#read += bytes;
    this.#filled = bytes;
    this.#left = bytes;
  }
}
