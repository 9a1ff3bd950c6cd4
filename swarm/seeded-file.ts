// The seed's side of a piece store: an existing file, read and never written, cut into pieces and hashed
// once. It may still be growing: what has come since is hashed by `readOn`, in step with its writer.

import { fstatSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { Blake3Hasher } from "@napi-rs/blake-hash";
import { fileBytesMax, filePieceBytes } from "../core/introduction/file-pieces.ts";
import { PIECE_ROW_BYTES, PieceTable, writePieceRow } from "../core/release/piece-table.ts";
import { readBytes } from "../runtime/file-bytes.ts";
import type { PieceStore } from "../runtime/peer/piece-store.ts";
import { CommandError, EXIT } from "../runtime/program/exit-codes.ts";

/** Bytes hashed at a time. */
const READ_BYTES = 1024 * 1024;

export interface SeededFileOptions {
  readonly path: string;
  /** The file is not whole yet. */
  readonly isGrowing: boolean;
  /** What it will have; undefined: not known, or what it has. */
  readonly bytes: number | undefined;
}

export class SeededFile implements PieceStore {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #isGrowing: boolean;
  /** Size by which it is cut. */
  readonly #bytes: number | undefined;
  readonly #openedAtMs: number;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  #table = new PieceTable(new Uint8Array(), "a file");
  readonly #starts: number[] = [];
  #nextStart = 0;
  /** Of the piece being hashed. */
  #hasher = new Blake3Hasher();
  #hashedBytes = 0;
  #hashedPieces = 0;
  #isChanged = false;

  /** Throws CommandError for what cannot be seeded. */
  static async open(options: SeededFileOptions): Promise<SeededFile> {
    const { path, isGrowing } = options;
    const file = await open(path, "r");
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw new CommandError(EXIT.usage, `${path} is not a file`);
      const bytes = isGrowing ? options.bytes : stat.size;
      const bytesMax = fileBytesMax(bytes !== undefined);
      if ((bytes ?? stat.size) > bytesMax) {
        const what = `${path} has ${bytes ?? stat.size} bytes (limit ${bytesMax})`;
        throw new CommandError(EXIT.usage, `${what}: seed it in parts`);
      }
      return new SeededFile(options, file, bytes, stat.mtimeMs);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(
    { path, isGrowing }: SeededFileOptions,
    file: FileHandle,
    bytes: number | undefined,
    openedAtMs: number,
  ) {
    this.path = path;
    this.#isGrowing = isGrowing;
    this.#file = file;
    this.#bytes = bytes;
    this.#openedAtMs = openedAtMs;
  }

  /** Bytes of the file that were hashed. */
  get bytesRead(): number {
    return this.#nextStart + this.#hashedBytes;
  }

  /** The file was changed where it had been read; it can be seeded no longer. */
  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** The rows handed to the swarm. */
  get rows(): Uint8Array {
    return this.#table.rows;
  }

  get pieceCount(): number {
    return this.#table.count;
  }

  pieceBytes(piece: number): number {
    return this.#table.encodedBytes(piece);
  }

  extend(rows: Uint8Array): void {
    this.#table = new PieceTable(Buffer.concat([this.#table.rows, rows]), this.path);
    let start = this.#starts.length === 0 ? 0 : this.#endOf(this.#starts.length - 1);
    while (this.#starts.length < this.#table.count) {
      this.#starts.push(start);
      start += this.pieceBytes(this.#starts.length - 1);
    }
  }

  has(piece: number): boolean {
    return piece < this.#table.count;
  }

  /**
   * Hashes what the file has beyond what was read, and gives the rows of the pieces that are whole by
   * now; `isEnd`: the rest of it too, which is its last piece.
   */
  async readOn(isEnd: boolean): Promise<Uint8Array> {
    const rows: Uint8Array[] = [];
    const { size } = await this.#file.stat();
    const end = this.#bytes === undefined ? size : Math.min(size, this.#bytes);
    while (this.bytesRead < end) {
      const left = this.#pieceBytesNow() - this.#hashedBytes;
      const count = Math.min(READ_BYTES, left, end - this.bytesRead);
      const { bytesRead } = await this.#file.read(this.#buffer, 0, count, this.bytesRead);
      if (bytesRead === 0) break;
      this.#hasher.update(this.#buffer.subarray(0, bytesRead));
      this.#hashedBytes += bytesRead;
      if (bytesRead === left) rows.push(this.#row());
    }
    if (isEnd && this.#hashedBytes > 0) rows.push(this.#row());
    return Buffer.concat(rows);
  }

  async read(piece: number, offset: number, target: Uint8Array): Promise<void> {
    const start = this.#starts[piece];
    if (start === undefined || offset + target.length > this.pieceBytes(piece)) {
      throw new RangeError(`piece ${piece} has no bytes up to ${offset + target.length}`);
    }
    this.#isChanged ||= this.#looksChanged();
    if (this.#isChanged) throw new Error(`${this.path} was changed`);
    if (readBytes(this.#file.fd, target, start + offset) === target.length) return;
    this.#isChanged = true;
    throw new Error(`${this.path} was cut short`);
  }

  received(): number {
    return 0;
  }

  write(): Promise<never> {
    return Promise.reject(new Error(`${this.path} is only read`));
  }

  finish(): Promise<never> {
    return this.write();
  }

  discard(): void {}

  close(): Promise<void> {
    return this.#file.close();
  }

  #looksChanged(): boolean {
    const { mtimeMs, size } = fstatSync(this.#file.fd);
    return this.#isGrowing ? size < this.bytesRead : mtimeMs !== this.#openedAtMs;
  }

  #endOf(piece: number): number {
    return (this.#starts[piece] as number) + this.pieceBytes(piece);
  }

  #pieceBytesNow(): number {
    return filePieceBytes(this.#hashedPieces, this.#bytes);
  }

  /** Ends the piece being hashed. */
  #row(): Uint8Array {
    const row = new Uint8Array(PIECE_ROW_BYTES);
    const bytes = this.#hashedBytes;
    const sizes = { encodedBytes: bytes, plainBytes: bytes };
    const digest = this.#hasher.digestBuffer();
    writePieceRow({ digest, ...sizes, kind: "data", codec: "stored" }, row);
    this.#nextStart += bytes;
    this.#hashedBytes = 0;
    this.#hashedPieces += 1;
    this.#hasher = new Blake3Hasher();
    return row;
  }
}
