// A relay's pieces of one pack: read straight from the segments in its region's blob store. Pieces that
// come from peers gather in spools until their segment is whole; whoever owns this puts it then.
import assert from "node:assert/strict";
import { join } from "node:path";
import { Blake3Hasher } from "@napi-rs/blake-hash";
import type { BlobStore } from "../blobs/blob-store.ts";
import { segmentKey } from "../release/pack-keys.ts";
import type { SegmentFooter } from "../release/segment-reader.ts";
import { PieceAudit } from "./piece-audit.ts";
import { type PieceStore, RottenPieceError, type Verdict } from "./piece-store.ts";
import { bodyOffsets, SegmentSpool } from "./segment-spool.ts";

/** Bytes of the buffer that a piece is compared through. */
const READ_BYTES = 256 * 1024;

export interface SegmentPieceStoreOptions {
  readonly store: BlobStore;
  readonly pack: string;
  /** Folder for segments that come piece by piece. */
  readonly spool: string;
  /** All pieces of a segment have come from peers: put its blob, then call `segmentStored`. */
  readonly onSegmentWhole: (segment: number) => void;
  /** A segment's blob gives other bytes than were put: put it anew, then call `segmentRenewed`. */
  readonly onSegmentRotten: (segment: number) => void;
}

interface KnownSegment {
  readonly footer: SegmentFooter;
  readonly offsets: readonly number[];
  isStored: boolean;
  spool: SegmentSpool | undefined;
}

/** Where a piece is: its segment, and its number there. */
interface Place {
  readonly segment: number;
  readonly known: KnownSegment;
  readonly index: number;
}

/** The PieceStore of a relay; the segments it can tell of are added in order, before their rows. */
export class SegmentPieceStore implements PieceStore {
  readonly #options: SegmentPieceStoreOptions;
  readonly #segments: KnownSegment[] = [];
  /** Segment of each piece. */
  readonly #segmentOf: number[] = [];
  readonly #audit = new PieceAudit((piece) => this.#compare(piece));
  #pieceCount = 0;

  constructor(options: SegmentPieceStoreOptions) {
    this.#options = options;
  }

  get pieceCount(): number {
    return this.#pieceCount;
  }

  /** Pieces of the segments added; the next one begins there. */
  get knownPieces(): number {
    return this.#segmentOf.length;
  }

  /** Key of a segment's blob. */
  keyOf(segment: number): string {
    return segmentKey(this.#options.pack, segment);
  }

  /** Makes the next segment known; its rows follow by `extend`. */
  addSegment(footer: SegmentFooter): void {
    const segment = this.#segments.length;
    assert.equal(footer.trailer.index, segment);
    assert.equal(footer.trailer.firstPiece, this.#segmentOf.length);
    const offsets = bodyOffsets(footer);
    this.#segments.push({ footer, offsets, isStored: false, spool: undefined });
    for (let piece = 0; piece < footer.table.count; piece += 1) this.#segmentOf.push(segment);
  }

  /** Tells that the segment's blob is in the store; returns its pieces that were not there yet. */
  segmentStored(segment: number): number[] {
    const known = this.#segments[segment] as KnownSegment;
    const fresh = this.#piecesOf(segment).filter((piece) => !this.has(piece));
    known.isStored = true;
    const { spool } = known;
    known.spool = undefined;
    void spool?.remove();
    return fresh;
  }

  /** Tells that a rotten segment's blob was put anew. */
  segmentRenewed(segment: number): void {
    this.#audit.renewed(this.#piecesOf(segment));
  }

  doubt(): void {
    this.#audit.doubt();
  }

  /** The blob of a segment whose pieces have all come from peers. */
  spooledBlob(segment: number): AsyncIterable<Uint8Array> | undefined {
    return this.#segments[segment]?.spool?.blob();
  }

  extend(rows: Uint8Array): void {
    const count = this.#pieceCount + rows.length / 44;
    assert.ok(count <= this.#segmentOf.length, "rows of a segment that was not added");
    this.#pieceCount = count;
  }

  pieceBytes(piece: number): number {
    const { known, index } = this.#place(piece);
    return known.footer.table.encodedBytes(index);
  }

  has(piece: number): boolean {
    const segment = this.#segmentOf[piece];
    if (segment === undefined) return false;
    const { known, index } = this.#place(piece);
    return known.isStored || known.spool?.has(index) === true;
  }

  received(piece: number): number {
    const { known, index } = this.#place(piece);
    return known.spool?.received(index) ?? 0;
  }

  async write(piece: number, offset: number, bytes: Uint8Array): Promise<void> {
    const { known, index, segment } = this.#place(piece);
    // It may have come from the origin meanwhile; `finish` will say so.
    if (this.has(piece)) return;
    const received = this.received(piece);
    const end = offset + bytes.length;
    if (offset !== received || end > this.pieceBytes(piece)) {
      throw new RangeError(`piece ${piece}: bytes ${offset} to ${end} do not follow ${received}`);
    }
    known.spool ??= new SegmentSpool(this.#spoolPath(segment), known.footer);
    await known.spool.write(index, offset, bytes);
  }

  finish(piece: number): Verdict {
    const { known, index, segment } = this.#place(piece);
    if (this.has(piece)) return "verified";
    const outcome = known.spool?.finish(index) ?? "corrupt";
    if (known.spool?.isWhole === true) this.#options.onSegmentWhole(segment);
    return outcome;
  }

  discard(piece: number): void {
    const { known, index } = this.#place(piece);
    known.spool?.discard(index);
  }

  async read(piece: number, offset: number, target: Uint8Array): Promise<void> {
    const { known, index, segment } = this.#place(piece);
    if (!this.has(piece)) throw new Error(`piece ${piece} is not here`);
    if (known.spool !== undefined) {
      await known.spool.read(index, offset, target);
      return;
    }
    if (!(await this.#audit.passes(piece))) {
      this.#options.onSegmentRotten(segment);
      throw new RottenPieceError(this.keyOf(segment), piece);
    }
    await this.#readStored(piece, offset, target);
  }

  /** What is spooled has just come, and is compared by its digest when its segment is put. */
  async isSound(piece: number): Promise<boolean> {
    const { known, segment } = this.#place(piece);
    if (!known.isStored || (await this.#compare(piece))) return true;
    this.#audit.condemn(piece);
    this.#options.onSegmentRotten(segment);
    return false;
  }

  /** Deletes what is spooled; the segments stay. */
  async close(): Promise<void> {
    await Promise.all(this.#segments.map(({ spool }) => spool?.remove()));
  }

  async #readStored(piece: number, offset: number, target: Uint8Array): Promise<void> {
    const { known, index, segment } = this.#place(piece);
    const key = this.keyOf(segment);
    const at = (known.offsets[index] as number) + offset;
    const got = await this.#options.store.read(key, at, target);
    if (got !== target.length) throw new Error(`${key} ends within piece ${piece}`);
  }

  async #compare(piece: number): Promise<boolean> {
    const { known, index } = this.#place(piece);
    const hasher = new Blake3Hasher();
    const bytes = this.pieceBytes(piece);
    const buffer = Buffer.allocUnsafe(Math.min(bytes, READ_BYTES));
    for (let at = 0; at < bytes; at += buffer.length) {
      const part = buffer.subarray(0, Math.min(buffer.length, bytes - at));
      await this.#readStored(piece, at, part);
      hasher.update(part);
    }
    return Buffer.compare(hasher.digestBuffer(), known.footer.table.digest(index)) === 0;
  }

  #piecesOf(segment: number): number[] {
    const { firstPiece, pieceCount } = (this.#segments[segment] as KnownSegment).footer.trailer;
    return Array.from({ length: pieceCount }, (_, index) => firstPiece + index);
  }

  #place(piece: number): Place {
    const segment = this.#segmentOf[piece];
    assert.ok(segment !== undefined, `piece ${piece} is not in the table`);
    const known = this.#segments[segment] as KnownSegment;
    return { segment, known, index: piece - known.footer.trailer.firstPiece };
  }

  #spoolPath(segment: number): string {
    return join(this.#options.spool, this.#options.pack, `s-${segment}`);
  }
}
