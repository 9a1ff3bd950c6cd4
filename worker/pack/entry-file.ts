// The walked tree as a file of compact records in scratch space: 1M entries take about 80 MB there and
// nothing in memory. Threads read the paths they need from it, so that no message carries any.
import { closeSync, openSync } from "node:fs";
import { PATH_BYTES_MAX } from "../../core/release/limits.ts";
import { readBytes, writeBytes } from "../../runtime/file-bytes.ts";

/** Kinds in the order of their codes. */
const KINDS = ["file", "symlink", "directory"] as const;
/** kind u8, mode u16, size u48, path bytes u16, target bytes u16. */
const HEAD_BYTES = 13;
const RECORD_BYTES_MAX = HEAD_BYTES + 2 * PATH_BYTES_MAX;
/** Bytes read or written at once. */
const WINDOW_BYTES = 256 * 1024;

/** An entry as it was walked; a single file has the name of the output. */
export interface TreeEntry {
  readonly kind: (typeof KINDS)[number];
  readonly mode: number;
  readonly size: number;
  readonly path: string;
  readonly target: string;
}

/** Writes records one after the other. */
export class EntryFileWriter {
  readonly #file: number;
  readonly #buffer = Buffer.allocUnsafe(WINDOW_BYTES);
  #filled = 0;
  #flushed = 0;

  constructor(path: string) {
    this.#file = openSync(path, "w", 0o600);
  }

  /** Adds a record; returns where it begins. */
  add(entry: TreeEntry): number {
    if (this.#filled + RECORD_BYTES_MAX > WINDOW_BYTES) this.#flush();
    const at = this.#filled;
    const buffer = this.#buffer;
    buffer[at] = KINDS.indexOf(entry.kind);
    buffer.writeUInt16LE(entry.mode, at + 1);
    buffer.writeUIntLE(entry.size, at + 3, 6);
    const pathBytes = buffer.write(entry.path, at + HEAD_BYTES);
    const targetBytes = buffer.write(entry.target, at + HEAD_BYTES + pathBytes);
    buffer.writeUInt16LE(pathBytes, at + 9);
    buffer.writeUInt16LE(targetBytes, at + 11);
    this.#filled = at + HEAD_BYTES + pathBytes + targetBytes;
    return this.#flushed + at;
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
  }

  #flush(): void {
    writeBytes(this.#file, this.#buffer.subarray(0, this.#filled));
    this.#flushed += this.#filled;
    this.#filled = 0;
  }
}

/** Reads records by where they begin; quick when they are asked for in order. */
export class EntryFileReader {
  readonly #file: number;
  readonly #buffer = Buffer.allocUnsafe(WINDOW_BYTES);
  #start = 0;
  #filled = 0;

  constructor(path: string) {
    this.#file = openSync(path, "r");
  }

  /** The record at the place, and where the next begins. */
  read(place: number): { readonly entry: TreeEntry; readonly next: number } {
    const buffer = this.#buffer;
    let at = place - this.#start;
    if (at < 0 || at + HEAD_BYTES > this.#filled || at + this.#length(at) > this.#filled) {
      this.#fill(place);
      at = 0;
    }
    const pathEnd = at + HEAD_BYTES + buffer.readUInt16LE(at + 9);
    const end = at + this.#length(at);
    const entry: TreeEntry = {
      kind: KINDS[buffer[at] as number] as TreeEntry["kind"],
      mode: buffer.readUInt16LE(at + 1),
      size: buffer.readUIntLE(at + 3, 6),
      path: buffer.toString("utf8", at + HEAD_BYTES, pathEnd),
      target: buffer.toString("utf8", pathEnd, end),
    };
    return { entry, next: this.#start + end };
  }

  close(): void {
    closeSync(this.#file);
  }

  #length(at: number): number {
    return HEAD_BYTES + this.#buffer.readUInt16LE(at + 9) + this.#buffer.readUInt16LE(at + 11);
  }

  #fill(place: number): void {
    this.#start = place;
    this.#filled = readBytes(this.#file, this.#buffer, place);
  }
}
