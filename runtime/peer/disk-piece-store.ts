// A piece store over two sparse files, one for pieces of data and one for the others: a piece lies after
// those before it. Finished pieces are noted in a journal; nothing is fsynced: what a crash tore is found
// when the store is opened again, because every noted piece is hashed then. Unfinished ones start over.
// The file of data can become a file of a release (`lend`). Blocks are read and written without another
// thread: a hop there and back costs as much as copying 256 KiB (a sixth of an agent's time).
import { constants, fstatSync, readSync, writeSync } from "node:fs";
import { type FileHandle, link, mkdir, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { Blake3Hasher } from "@napi-rs/blake-hash";
import { PieceTable } from "../../core/release/piece-table.ts";
import { Bitfield } from "../../core/swarm/bitfield.ts";
import { PieceAudit } from "./piece-audit.ts";
import { JournalFile, TableFile } from "./piece-files.ts";
import {
  isStoreFull,
  type PieceStore,
  PieceStoreFull,
  RottenPieceError,
  type Verdict,
} from "./piece-store.ts";

const DATA_FILE = "pieces";

/** Bytes read at a time when pieces are hashed at open. */
const HASH_READ_BYTES = 1024 * 1024;
/** Hashers kept for further pieces: as many as come at a time. */
const HASHERS_KEPT_MAX = 32;

/** Who shares the data file has written to it: open the store anew to see what is left. */
export class PiecesChangedError extends Error {
  override readonly name = "PiecesChangedError";

  constructor(directory: string) {
    super(`${directory}/${DATA_FILE} was written to by the owner of a release`);
  }
}

interface Unfinished {
  readonly hasher: Blake3Hasher;
  received: number;
}

/** Where a piece lies: in which file, and from which byte on. */
interface Place {
  readonly isData: boolean;
  readonly start: number;
}

/** The data file as it was when another owner got it. */
interface Lent {
  readonly fd: number;
  readonly changedAtMs: number;
}

export class DiskPieceStore implements PieceStore {
  readonly #directory: string;
  /** Read only once it is lent: nobody may execute a file that somebody could write to. */
  #data: FileHandle;
  readonly #meta: FileHandle;
  readonly #tableFile: TableFile;
  readonly #journal: JournalFile;
  #table: PieceTable;
  readonly #places: Place[] = [];
  /** Bytes of the pieces placed so far. */
  #dataBytes = 0;
  #metaBytes = 0;
  #lent: Lent | undefined;
  readonly #have = new Bitfield();
  readonly #unfinished = new Map<number, Unfinished>();
  /** Used again: each has 2 KB outside the heap, which waits for a collection otherwise. */
  readonly #hashers: Blake3Hasher[] = [];
  readonly #audit = new PieceAudit((piece) => this.#isIntact(piece, this.#bufferFor(piece)));
  #closing: Promise<void> | undefined;

  /** Opens the store in a directory, made if need be; hashes the pieces noted there. */
  static async open(directory: string): Promise<DiskPieceStore> {
    await mkdir(directory, { recursive: true });
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    const data = await open(join(directory, DATA_FILE), flags, 0o600);
    const meta = await open(join(directory, "meta-pieces"), flags, 0o600);
    try {
      const store = new DiskPieceStore(directory, data, meta);
      if (await store.#recover()) return store;
      // The other owner's file is not ours to mend: the pieces are fetched anew into one of our own.
      await store.close();
      await unlink(join(directory, DATA_FILE));
      return await DiskPieceStore.open(directory);
    } catch (error) {
      await data.close();
      await meta.close();
      throw error;
    }
  }

  private constructor(directory: string, data: FileHandle, meta: FileHandle) {
    this.#directory = directory;
    this.#data = data;
    this.#meta = meta;
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

  write(piece: number, offset: number, bytes: Uint8Array): void {
    if (this.has(piece)) return;
    const unfinished = this.#unfinished.get(piece) ?? {
      hasher: this.#hashers.pop() ?? new Blake3Hasher(),
      received: 0,
    };
    if (offset !== unfinished.received || offset + bytes.length > this.pieceBytes(piece)) {
      const range = `${offset}..${offset + bytes.length}`;
      throw new RangeError(`bytes ${range} of piece ${piece} after ${unfinished.received}`);
    }
    this.#unfinished.set(piece, unfinished);
    this.#writeAt(this.#placeOf(piece), offset, bytes);
    unfinished.hasher.update(bytes);
    unfinished.received += bytes.length;
  }

  finish(piece: number): Verdict {
    if (this.has(piece)) return "verified";
    const unfinished = this.#unfinished.get(piece);
    if (unfinished?.received !== this.pieceBytes(piece)) {
      throw new RangeError(`piece ${piece} is compared after ${unfinished?.received ?? 0} bytes`);
    }
    this.#unfinished.delete(piece);
    const { hasher } = unfinished;
    const isIntact = hasher.digestBuffer().equals(this.#table.digest(piece));
    hasher.reset();
    if (this.#hashers.length < HASHERS_KEPT_MAX) this.#hashers.push(hasher);
    if (!isIntact) return "corrupt";
    this.#have.add(piece);
    this.#audit.renewed([piece]);
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

  read(piece: number, offset: number, target: Uint8Array): void | Promise<void> {
    if (!this.has(piece)) throw new RangeError(`piece ${piece} is not here`);
    if (offset + target.length > this.pieceBytes(piece)) {
      throw new RangeError(`piece ${piece} ends before ${offset + target.length}`);
    }
    const place = this.#placeOf(piece);
    if (place.isData && this.#isChanged()) {
      throw new PiecesChangedError(this.#directory);
    }
    if (this.#audit.isDoubted) return this.#readAudited(piece, place, offset, target);
    this.#readAt(place, offset, target);
  }

  doubt(): void {
    this.#audit.doubt();
  }

  async isSound(piece: number): Promise<boolean> {
    const isIntact = await this.#isIntact(piece, this.#bufferFor(piece));
    if (!isIntact) this.#audit.condemn(piece);
    return isIntact;
  }

  /** A file that has another owner too is not ours to mend: its pieces stay as they are. */
  forget(piece: number): boolean {
    if (this.#lent !== undefined && this.#placeOf(piece).isData) return false;
    return this.#have.remove(piece);
  }

  /** A piece that rotted is not given out. */
  async #readAudited(
    piece: number,
    place: Place,
    offset: number,
    target: Uint8Array,
  ): Promise<void> {
    if (!(await this.#audit.passes(piece))) {
      throw new RottenPieceError(this.#directory, piece);
    }
    this.#readAt(place, offset, target);
  }

  /** Whether its file of data is a release's, too. */
  get isLent(): boolean {
    return this.#lent !== undefined;
  }

  /**
   * Gives the file of data pieces a second name, outside this store: stored pieces back to back are the
   * file of a release, and 10 GB need not be written twice. From then on it belongs to others as well;
   * where they change it, pieces of it are not read any more, so that no peer gets wrong ones from us.
   */
  async lend(path: string): Promise<void> {
    await this.#data.truncate(this.#dataBytes);
    await link(join(this.#directory, DATA_FILE), path);
    await this.#noteLent();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#tableFile.close();
    this.#journal.close();
    await this.#data.close();
    await this.#meta.close();
  }

  /** A second name means a second owner, also after a restart. */
  async #noteLent(): Promise<void> {
    const { nlink, mtimeMs } = await this.#data.stat();
    if (nlink === 1) return;
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
    const readable = await open(join(this.#directory, DATA_FILE), flags);
    const writable = this.#data;
    this.#data = readable;
    this.#lent = { fd: readable.fd, changedAtMs: mtimeMs };
    await writable.close();
  }

  /** False where the data file belongs to others too and is not whole: it may not be written to. */
  async #recover(): Promise<boolean> {
    await this.#noteLent();
    const buffer = Buffer.allocUnsafeSlow(HASH_READ_BYTES);
    for (const piece of this.#journal.read()) {
      if (piece < this.pieceCount && (await this.#isIntact(piece, buffer))) this.#have.add(piece);
    }
    return (
      this.#lent === undefined ||
      this.#places.every(({ isData }, piece) => !isData || this.has(piece))
    );
  }

  #bufferFor(piece: number): Buffer {
    return Buffer.allocUnsafeSlow(Math.min(HASH_READ_BYTES, this.pieceBytes(piece)));
  }

  async #isIntact(piece: number, buffer: Buffer): Promise<boolean> {
    const hasher = new Blake3Hasher();
    const place = this.#placeOf(piece);
    const { start } = place;
    const end = start + this.pieceBytes(piece);
    for (let at = start; at < end; ) {
      const { bytesRead } = await this.#fileOf(place).read(
        buffer,
        0,
        Math.min(buffer.length, end - at),
        at,
      );
      if (bytesRead === 0) return false;
      hasher.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return hasher.digestBuffer().equals(this.#table.digest(piece));
  }

  /** Whether the other owner of the data file has written to it. */
  #isChanged(): boolean {
    if (this.#lent === undefined) return false;
    return fstatSync(this.#lent.fd).mtimeMs !== this.#lent.changedAtMs;
  }

  #writeAt(place: Place, offset: number, bytes: Uint8Array): void {
    let written = 0;
    while (written < bytes.length) {
      const left = bytes.length - written;
      try {
        const at = place.start + offset + written;
        written += writeSync(this.#fileOf(place).fd, bytes, written, left, at);
      } catch (error) {
        throw this.#asFull(error);
      }
    }
  }

  #readAt(place: Place, offset: number, target: Uint8Array): void {
    let filled = 0;
    while (filled < target.length) {
      const left = target.length - filled;
      const at = place.start + offset + filled;
      const bytesRead = readSync(this.#fileOf(place).fd, target, filled, left, at);
      if (bytesRead === 0) throw new Error(`${this.#directory} has no byte at ${at}`);
      filled += bytesRead;
    }
  }

  #fileOf({ isData }: Place): FileHandle {
    return isData ? this.#data : this.#meta;
  }

  #placeOf(piece: number): Place {
    const place = this.#places[piece];
    if (place === undefined) throw new RangeError(`piece ${piece} is beyond the table`);
    return place;
  }

  /** Fixes where the pieces from `first` on begin. */
  #place(first: number): void {
    for (let piece = first; piece < this.#table.count; piece += 1) {
      const bytes = this.#table.encodedBytes(piece);
      if (this.#table.row(piece).kind === "data") {
        this.#places.push({ isData: true, start: this.#dataBytes });
        this.#dataBytes += bytes;
      } else {
        this.#places.push({ isData: false, start: this.#metaBytes });
        this.#metaBytes += bytes;
      }
    }
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
