// Gathers new chunks into pieces, has them made on the threads, and hands them to the segment writer
// in order. What is in flight is bounded by number; a piece has 10 MB at most, plain and encoded. The memory of a
// piece that is written goes to the thread that makes a later one: fresh memory for each is half a second of a core
// for a GiB, and has V8 look for garbage all the time.

import type { ChunkPlace } from "../../core/release/layout-row.ts";
import { CHUNK_BYTES_MAX, DIGEST_BYTES } from "../../core/release/limits.ts";
import type { SegmentWriter } from "../../runtime/release/segment-writer.ts";
import type { MadePiece, MetaPieceTask } from "./make-piece.ts";
import type { PackThreads } from "./pack-threads.ts";

export interface PieceQueueOptions {
  readonly threads: PackThreads;
  readonly writer: SegmentWriter;
  readonly root: string;
  readonly entryFile: string;
  /** Plain bytes at which a piece is full. */
  readonly pieceBytes: number;
}

/** The pieces of one pack, numbered in the order in which they are begun. */
export class PieceQueue {
  readonly #options: PieceQueueOptions;
  readonly #making: Promise<MadePiece>[] = [];
  /** Of pieces that are written. */
  readonly #memory: ArrayBuffer[] = [];
  #runs: number[] = [];
  #digests: Uint8Array[] = [];
  #sizes: number[] = [];
  #plainBytes = 0;
  /** Where the file of the last run goes on. */
  #runEnd = 0;
  #next = 0;

  constructor(options: PieceQueueOptions) {
    this.#options = options;
  }

  /** Number of the piece that the next chunk goes to. */
  get next(): number {
    return this.#next;
  }

  /**
   * Adds a chunk that lies at `offset` of the file whose record is at `entryPlace`; its digest is kept
   * by reference. Returns its piece and its offset there.
   */
  add(
    entryPlace: number,
    offset: number,
    digest: Uint8Array,
    size: number,
  ): Pick<ChunkPlace, "piece" | "offset"> {
    const place = { piece: this.#next, offset: this.#plainBytes };
    const last = this.#runs.length - 3;
    if (last >= 0 && this.#runs[last] === entryPlace && this.#runEnd === offset) {
      this.#runs[last + 2] = (this.#runs[last + 2] as number) + 1;
    } else this.#runs.push(entryPlace, offset, 1);
    this.#runEnd = offset + size;
    this.#digests.push(digest);
    this.#sizes.push(size);
    this.#plainBytes += size;
    if (this.#plainBytes >= this.#options.pieceBytes) this.flush();
    return place;
  }

  /** Begins the piece that is gathered, however small. */
  flush(): void {
    if (this.#sizes.length === 0) return;
    const digests = new Uint8Array(this.#digests.length * DIGEST_BYTES);
    this.#digests.forEach((digest, i) => {
      digests.set(digest, i * DIGEST_BYTES);
    });
    const { root, entryFile, threads } = this.#options;
    const runs = Float64Array.from(this.#runs);
    const sizes = Uint32Array.from(this.#sizes);
    const memory = this.#takeMemory();
    this.#begin(threads.dataPiece({ root, entryFile, runs, digests, sizes, memory }));
    this.#runs = [];
    this.#digests = [];
    this.#sizes = [];
    this.#plainBytes = 0;
  }

  /** Begins a meta piece; data that is gathered must be flushed before. */
  meta(task: Omit<MetaPieceTask, "memory">): void {
    this.#begin(this.#options.threads.metaPiece({ ...task, memory: this.#takeMemory() }));
  }

  /** Writes pieces until at most `left` are in flight. */
  async drain(left: number): Promise<void> {
    while (this.#making.length > left) {
      const { encoded, row, memory } = await (this.#making[0] as Promise<MadePiece>);
      void this.#making.shift();
      await this.#options.writer.add(encoded, row);
      this.#memory.push(memory);
    }
  }

  /** Room for any piece: one is full with the chunk that takes it to its size. */
  #takeMemory(): ArrayBuffer {
    return this.#memory.pop() ?? new ArrayBuffer(this.#options.pieceBytes + CHUNK_BYTES_MAX);
  }

  #begin(making: Promise<MadePiece>): void {
    // Whoever drains sees a failure; until then it is not unhandled.
    making.catch(() => {});
    this.#making.push(making);
    this.#next += 1;
  }
}
