// Streams a pack's pieces into segments at the origin while they are made: a put is open before its
// last piece exists, and the next segment begins while the one before is made durable. It seals
// nothing; what it wrote is worth nothing until the seal.
import { SEGMENTS_MAX } from "../../core/release/limits.ts";
import type { PieceRow } from "../../core/release/piece-table.ts";
import { PIECE_ROW_BYTES, writePieceRow } from "../../core/release/piece-table.ts";
import { encodeTrailer } from "../../core/release/segment-trailer.ts";
import { WireError } from "../../core/release/wire-error.ts";
import type { BlobStore } from "../blobs/blob-store.ts";
import { freeMemory } from "../free-memory.ts";
import { ByteChannel } from "./byte-channel.ts";
import { segmentKey } from "./pack-keys.ts";
import { digestOf } from "./piece-codec.ts";
import type { SealedSegment } from "./seal.ts";

/**
 * Puts that may be unfinished at once: one is filled while the others are made durable. To a bucket each is a
 * stream of its own, and with more of them the memory for what is not sent yet would be in too many parts.
 */
const PUTS_MAX = 4;

export interface SegmentWriterOptions {
  readonly store: BlobStore;
  readonly pack: string;
  /** Bytes of pieces that a segment may hold; see segmentBodyBytes. */
  readonly bodyBytesMax: number;
  /** Called for each segment in order, once it is stored and all before it are. */
  readonly onStored: (rows: Uint8Array, index: number) => void;
}

interface OpenSegment {
  readonly channel: ByteChannel;
  readonly index: number;
  readonly firstPiece: number;
  readonly rows: PieceRow[];
  bodyBytes: number;
}

/** Takes the pieces of a pack in order. */
export class SegmentWriter {
  readonly #options: SegmentWriterOptions;
  readonly #segments: SealedSegment[] = [];
  readonly #tables: Uint8Array[] = [];
  readonly #puts = new Set<Promise<void>>();
  #open: OpenSegment | undefined;
  #pieces = 0;
  #stored: Promise<void> = Promise.resolve();
  #failure: Error | undefined;

  constructor(options: SegmentWriterOptions) {
    this.#options = options;
  }

  /** Number of the next piece. */
  get pieces(): number {
    return this.#pieces;
  }

  /**
   * Resolves when the store has taken the bytes, whose memory is freed then; rejects with what a put
   * failed with.
   */
  async add(encoded: Uint8Array, row: PieceRow): Promise<void> {
    const fits =
      this.#open === undefined ||
      this.#open.bodyBytes + encoded.length <= this.#options.bodyBytesMax;
    if (!fits) await this.#close();
    if (this.#open === undefined) await this.#begin();
    if (this.#failure !== undefined) throw this.#failure;
    const open = this.#open as unknown as OpenSegment;
    open.rows.push(row);
    open.bodyBytes += encoded.length;
    this.#pieces += 1;
    await open.channel.write(encoded);
    freeMemory(encoded);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends the last segment; resolves when all are stored, with what the seal says of them. */
  async finish(): Promise<{ readonly segments: SealedSegment[]; readonly rows: Uint8Array }> {
    if (this.#open !== undefined) await this.#close();
    await this.#stored;
    if (this.#failure !== undefined) throw this.#failure;
    return { segments: this.#segments, rows: Buffer.concat(this.#tables) };
  }

  /** Breaks the open put off; resolves when no put is running. */
  async abort(error: Error): Promise<void> {
    this.#failure ??= error;
    this.#open?.channel.fail(error);
    await Promise.all(this.#puts);
  }

  async #begin(): Promise<void> {
    while (this.#puts.size >= PUTS_MAX) await Promise.race(this.#puts);
    if (this.#failure !== undefined) throw this.#failure;
    const index = this.#segments.length;
    if (index >= SEGMENTS_MAX) {
      throw new WireError("too many segments", `pack ${this.#options.pack}`, SEGMENTS_MAX);
    }
    const open: OpenSegment = {
      channel: new ByteChannel(),
      index,
      firstPiece: this.#pieces,
      rows: [],
      bodyBytes: 0,
    };
    this.#open = open;
    const put = this.#put(open);
    const settled = put
      .catch((error: unknown) => {
        this.#failure ??= error as Error;
      })
      // A store that ended early may not have read at all: nobody may wait for it.
      .then(() => open.channel.fail(new Error("the put has ended")));
    this.#puts.add(settled);
    void settled.then(() => this.#puts.delete(settled));
    this.#stored = Promise.all([this.#stored, settled]).then(() => {
      if (this.#failure === undefined)
        this.#options.onStored(this.#tables[index] as Uint8Array, index);
    });
  }

  async #put(open: OpenSegment): Promise<void> {
    const key = segmentKey(this.#options.pack, open.index);
    const outcome = await this.#options.store.put(key, open.channel);
    if (outcome === "present")
      throw new Error(`${key} exists already, a pack is written only once`);
  }

  async #close(): Promise<void> {
    const open = this.#open as OpenSegment;
    this.#open = undefined;
    const rows = new Uint8Array(open.rows.length * PIECE_ROW_BYTES);
    open.rows.forEach((row, i) => {
      writePieceRow(row, rows, i * PIECE_ROW_BYTES);
    });
    const { index, firstPiece } = open;
    const pieceCount = open.rows.length;
    const trailer = encodeTrailer({ firstPiece, pieceCount, index, footerDigest: digestOf(rows) });
    this.#tables.push(rows);
    const bytes = open.bodyBytes + rows.length + trailer.length;
    this.#segments.push({ bytes, firstPiece, pieceCount });
    await open.channel.write(rows);
    await open.channel.write(trailer);
    open.channel.end();
  }
}
