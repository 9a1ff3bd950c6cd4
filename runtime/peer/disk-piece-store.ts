// A piece store over one sparse file: piece p lies after the pieces before it. Finished pieces are
// noted in a journal; nothing is fsynced, because what a crash tore is found when the store is opened
// again: every noted piece is hashed then, and dropped when it is wrong. Unfinished ones start over.
import { constants } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { Blake3Hasher } from "@napi-rs/blake-hash";
import { PieceTable } from "../../core/release/piece-table.ts";
import { Bitfield } from "../../core/swarm/bitfield.ts";
import { JournalFile, TableFile } from "./piece-files.ts";
import { isStoreFull, type PieceStore, PieceStoreFull } from "./piece-store.ts";

/** Bytes read at a time when pieces are hashed at open. */
const HASH_READ_BYTES = 1024 * 1024;

interface Unfinished {
  readonly hasher: Blake3Hasher;
  received: number;
}

export class DiskPieceStore implements PieceStore {
  readonly #directory: string;
  readonly #file: FileHandle;
  readonly #tableFile: TableFile;
  readonly #journal: JournalFile;
  #table: PieceTable;
  /** Where each piece begins; one more than there are pieces. */
  readonly #starts: number[] = [0];
  readonly #have = new Bitfield();
  readonly #unfinished = new Map<number, Unfinished>();
  /** Reads and writes under way. */
  readonly #working = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  /** Opens the store in a directory, made if need be; hashes the pieces noted there. */
  static async open(directory: string): Promise<DiskPieceStore> {
    await mkdir(directory, { recursive: true });
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    const file = await open(join(directory, "pieces"), flags, 0o600);
    try {
      const store = new DiskPieceStore(directory, file);
      await store.#recover();
      return store;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(directory: string, file: FileHandle) {
    this.#directory = directory;
    this.#file = file;
    this.#tableFile = new TableFile(join(directory, "table"));
    this.#journal = new JournalFile(join(directory, "journal"));
    this.#table = new PieceTable(this.#tableFile.read(), directory);
    this.#place(0);
  }

  get pieceCount(): number {
    return this.#table.count;
  }

  /** The rows of the piece table so far, also those of an earlier process. */
  rows(): Uint8Array {
    return this.#table.rows;
  }

  pieceBytes(piece: number): number {
    return this.#table.encodedBytes(piece);
  }

  extend(rows: Uint8Array): void {
    const joined = new Uint8Array(this.#table.rows.length + rows.length);
    joined.set(this.#table.rows);
    joined.set(rows, this.#table.rows.length);
    const table = new PieceTable(joined, this.#directory);
    this.#guard(() => this.#tableFile.append(rows));
    const known = this.#table.count;
    this.#table = table;
    this.#place(known);
  }

  has(piece: number): boolean {
    return this.#have.has(piece);
  }

  received(piece: number): number {
    return this.#unfinished.get(piece)?.received ?? 0;
  }

  async write(piece: number, offset: number, bytes: Uint8Array): Promise<void> {
    if (this.has(piece)) return;
    const unfinished = this.#unfinished.get(piece) ?? { hasher: new Blake3Hasher(), received: 0 };
    if (offset !== unfinished.received || offset + bytes.length > this.pieceBytes(piece)) {
      const range = `${offset}..${offset + bytes.length}`;
      throw new RangeError(`bytes ${range} of piece ${piece} after ${unfinished.received}`);
    }
    this.#unfinished.set(piece, unfinished);
    await this.#work(this.#writeAt((this.#starts[piece] ?? 0) + offset, bytes));
    unfinished.hasher.update(bytes);
    unfinished.received += bytes.length;
  }

  async finish(piece: number): Promise<"verified" | "corrupt"> {
    if (this.has(piece)) return "verified";
    const unfinished = this.#unfinished.get(piece);
    if (unfinished?.received !== this.pieceBytes(piece)) {
      throw new RangeError(`piece ${piece} is compared after ${unfinished?.received ?? 0} bytes`);
    }
    this.#unfinished.delete(piece);
    if (!unfinished.hasher.digestBuffer().equals(this.#table.digest(piece))) return "corrupt";
    this.#have.add(piece);
    try {
      this.#journal.append(piece);
    } catch (error) {
      // The piece is whole, only its note is missing: after a restart it is fetched again.
      if (!isStoreFull(error)) throw error;
    }
    return "verified";
  }

  discard(piece: number): void {
    this.#unfinished.delete(piece);
  }

  async read(piece: number, offset: number, target: Uint8Array): Promise<void> {
    if (!this.has(piece)) throw new RangeError(`piece ${piece} is not here`);
    if (offset + target.length > this.pieceBytes(piece)) {
      throw new RangeError(`piece ${piece} ends before ${offset + target.length}`);
    }
    await this.#work(this.#readAt((this.#starts[piece] ?? 0) + offset, target));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#working);
    this.#tableFile.close();
    this.#journal.close();
    await this.#file.close();
  }

  async #recover(): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(HASH_READ_BYTES);
    for (const piece of this.#journal.read()) {
      if (piece < this.pieceCount && (await this.#isIntact(piece, buffer))) this.#have.add(piece);
    }
  }

  async #isIntact(piece: number, buffer: Buffer): Promise<boolean> {
    const hasher = new Blake3Hasher();
    const end = this.#starts[piece + 1] ?? 0;
    for (let at = this.#starts[piece] ?? 0; at < end; ) {
      const { bytesRead } = await this.#file.read(buffer, 0, Math.min(buffer.length, end - at), at);
      if (bytesRead === 0) return false;
      hasher.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return hasher.digestBuffer().equals(this.#table.digest(piece));
  }

  async #writeAt(position: number, bytes: Uint8Array): Promise<void> {
    let written = 0;
    while (written < bytes.length) {
      const left = bytes.length - written;
      try {
        const { bytesWritten } = await this.#file.write(bytes, written, left, position + written);
        written += bytesWritten;
      } catch (error) {
        throw this.#asFull(error);
      }
    }
  }

  async #readAt(position: number, target: Uint8Array): Promise<void> {
    let filled = 0;
    while (filled < target.length) {
      const left = target.length - filled;
      const { bytesRead } = await this.#file.read(target, filled, left, position + filled);
      if (bytesRead === 0)
        throw new Error(`${this.#directory}/pieces ends at ${position + filled}`);
      filled += bytesRead;
    }
  }

  /** Fixes where the pieces from `first` on begin. */
  #place(first: number): void {
    for (let piece = first; piece < this.#table.count; piece += 1) {
      this.#starts.push((this.#starts[piece] ?? 0) + this.#table.encodedBytes(piece));
    }
  }

  #work<T>(promise: Promise<T>): Promise<T> {
    this.#working.add(promise);
    const done = () => this.#working.delete(promise);
    promise.then(done, done);
    return promise;
  }

  #guard(write: () => void): void {
    try {
      write();
    } catch (error) {
      throw this.#asFull(error);
    }
  }

  #asFull(error: unknown): unknown {
    return isStoreFull(error) ? new PieceStoreFull(this.#directory, { cause: error }) : error;
  }
}
