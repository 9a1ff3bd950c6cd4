// Pieces of one segment that come from peers, until the segment is whole: a sparse file laid out as the
// segment will be, so that it can be put into a blob store as it is. A restart begins it anew.
import { mkdirSync } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Blake3Hasher } from "@napi-rs/blake-hash";
import { encodeTrailer } from "../../core/release/segment-trailer.ts";
import type { SegmentFooter } from "../release/segment-reader.ts";
import { isStoreFull, PieceStoreFull } from "./piece-store.ts";

/** Bytes of one buffer when a whole segment is read. */
const READ_BYTES = 256 * 1024;

interface Unfinished {
  readonly hasher: Blake3Hasher;
  received: number;
}

/** The file of one segment; pieces are numbered from 0 within it. */
export class SegmentSpool {
  readonly #path: string;
  readonly #footer: SegmentFooter;
  readonly #offsets: readonly number[];
  readonly #verified = new Set<number>();
  readonly #unfinished = new Map<number, Unfinished>();
  #file: Promise<FileHandle> | undefined;

  constructor(path: string, footer: SegmentFooter) {
    this.#path = path;
    this.#footer = footer;
    this.#offsets = bodyOffsets(footer);
  }

  has(piece: number): boolean {
    return this.#verified.has(piece);
  }

  get isWhole(): boolean {
    return this.#verified.size === this.#footer.table.count;
  }

  received(piece: number): number {
    return this.#unfinished.get(piece)?.received ?? 0;
  }

  discard(piece: number): void {
    this.#unfinished.delete(piece);
  }

  /** Writes the next block of a piece; throws PieceStoreFull where the disk is. */
  async write(piece: number, offset: number, bytes: Uint8Array): Promise<void> {
    const file = await this.#open();
    try {
      await writeAll(file, bytes, (this.#offsets[piece] as number) + offset);
    } catch (error) {
      throw isStoreFull(error) ? new PieceStoreFull(this.#path, { cause: error }) : error;
    }
    const state = this.#unfinished.get(piece) ?? { hasher: new Blake3Hasher(), received: 0 };
    this.#unfinished.set(piece, state);
    state.hasher.update(bytes);
    state.received += bytes.length;
  }

  finish(piece: number): "verified" | "corrupt" {
    const digest = this.#unfinished.get(piece)?.hasher.digestBuffer();
    this.#unfinished.delete(piece);
    if (digest === undefined || Buffer.compare(digest, this.#footer.table.digest(piece)) !== 0) {
      return "corrupt";
    }
    this.#verified.add(piece);
    return "verified";
  }

  async read(piece: number, offset: number, target: Uint8Array): Promise<void> {
    const file = await this.#open();
    await readAll(file, target, (this.#offsets[piece] as number) + offset);
  }

  /** The whole segment as its blob: pieces, rows, trailer. */
  async *blob(): AsyncGenerator<Uint8Array, void, void> {
    const file = await this.#open();
    const { table, trailer } = this.#footer;
    for (let at = 0; at < table.encodedTotalBytes; at += READ_BYTES) {
      const bytes = Buffer.allocUnsafe(Math.min(READ_BYTES, table.encodedTotalBytes - at));
      await readAll(file, bytes, at);
      yield bytes;
    }
    yield table.rows;
    yield encodeTrailer(trailer);
  }

  /** Deletes the file. */
  async remove(): Promise<void> {
    const file = await this.#file;
    this.#file = undefined;
    await file?.close();
    await rm(this.#path, { force: true });
  }

  #open(): Promise<FileHandle> {
    if (this.#file === undefined) {
      mkdirSync(dirname(this.#path), { recursive: true });
      this.#file = open(this.#path, "w+", 0o600);
    }
    return this.#file;
  }
}

/** Where each piece begins in its segment. */
export function bodyOffsets({ table }: SegmentFooter): readonly number[] {
  const offsets: number[] = [];
  let offset = 0;
  for (let piece = 0; piece < table.count; piece += 1) {
    offsets.push(offset);
    offset += table.encodedBytes(piece);
  }
  return offsets;
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

async function readAll(file: FileHandle, target: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await file.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) throw new Error("a spooled segment is shorter than its pieces");
    done += bytesRead;
  }
}
