// The files of a disk piece store besides the pieces themselves: the piece table, each row with a
// checksum, and the journal of finished pieces. Both only grow, by writes at known positions, so that
// a torn write is the end of the file at worst, and is cut off when it is read again.
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { PIECES_MAX } from "../../core/release/limits.ts";
import { PIECE_ROW_BYTES } from "../../core/release/piece-table.ts";
import { readBytes, writeBytes } from "../file-bytes.ts";

/** A row and the FNV-1a checksum of it and of its place. */
const TABLE_RECORD_BYTES = PIECE_ROW_BYTES + 4;
const JOURNAL_RECORD_BYTES = 4;

/** The rows of a pack's piece table, on disk. */
export class TableFile {
  readonly #fd: number;
  #count = 0;

  constructor(path: string) {
    this.#fd = openOrMake(path);
  }

  /** The rows up to the first that is torn. */
  read(): Uint8Array {
    const records = readWhole(this.#fd, TABLE_RECORD_BYTES * PIECES_MAX);
    const rows: Uint8Array[] = [];
    for (let at = 0; at + TABLE_RECORD_BYTES <= records.length; at += TABLE_RECORD_BYTES) {
      const row = records.subarray(at, at + PIECE_ROW_BYTES);
      if (records.readUInt32LE(at + PIECE_ROW_BYTES) !== checksum(row, rows.length)) break;
      rows.push(row);
    }
    this.#count = rows.length;
    return new Uint8Array(Buffer.concat(rows));
  }

  /** Appends rows; when it throws (a full disk), none was appended. */
  append(rows: Uint8Array): void {
    const count = rows.length / PIECE_ROW_BYTES;
    const records = Buffer.alloc(count * TABLE_RECORD_BYTES);
    for (let index = 0; index < count; index += 1) {
      const row = rows.subarray(index * PIECE_ROW_BYTES, (index + 1) * PIECE_ROW_BYTES);
      records.set(row, index * TABLE_RECORD_BYTES);
      const sum = checksum(row, this.#count + index);
      records.writeUInt32LE(sum, index * TABLE_RECORD_BYTES + PIECE_ROW_BYTES);
    }
    writeBytes(this.#fd, records, this.#count * TABLE_RECORD_BYTES);
    this.#count += count;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** The numbers of finished pieces, on disk, in the order in which they were finished. */
export class JournalFile {
  readonly #fd: number;
  #count = 0;

  constructor(path: string) {
    this.#fd = openOrMake(path);
  }

  /** The pieces noted; twice noted ones once. Goes on after them. */
  read(): number[] {
    const records = readWhole(this.#fd, JOURNAL_RECORD_BYTES * PIECES_MAX * 16);
    this.#count = Math.floor(records.length / JOURNAL_RECORD_BYTES);
    const pieces = new Set<number>();
    for (let index = 0; index < this.#count; index += 1) {
      pieces.add(records.readUInt32LE(index * JOURNAL_RECORD_BYTES));
    }
    return [...pieces];
  }

  append(piece: number): void {
    const record = Buffer.alloc(JOURNAL_RECORD_BYTES);
    record.writeUInt32LE(piece);
    writeBytes(this.#fd, record, this.#count * JOURNAL_RECORD_BYTES);
    this.#count += 1;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function openOrMake(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
}

function readWhole(fd: number, bytesMax: number): Buffer {
  const buffer = Buffer.alloc(Math.min(bytesMax, fstatSync(fd).size));
  return buffer.subarray(0, readBytes(fd, buffer, 0));
}

/** FNV-1a, 32 bits, over the place and the bytes. */
function checksum(bytes: Uint8Array, place: number): number {
  let hash = Math.imul(0x811c9dc5 ^ place, 0x01000193);
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
