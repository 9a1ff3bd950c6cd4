// The pass over a walked tree: its spans are chunked on the threads, looked at in order, and each new
// chunk goes to a piece. Afterwards it can append the chunks that lie in packs not to be kept. It
// decides where every chunk lies; bytes never come here.
import { setImmediate } from "node:timers/promises";
import { CHUNKS_MAX, DIGEST_BYTES } from "../../core/release/limits.ts";
import type { PackUse } from "../../core/release/pack-choice.ts";
import { ChunkRows } from "./chunk-rows.ts";
import type { SpanChunks } from "./chunk-span.ts";
import { EntryFileReader } from "./entry-file.ts";
import type { KnownChunks } from "./known-chunks.ts";
import { PackError } from "./pack-error.ts";
import type { PackThreads } from "./pack-threads.ts";
import type { PieceQueue } from "./piece-queue.ts";
import type { Span, Tree } from "./walk-tree.ts";

/** Pack of a row's place that means the build's own; others are indexes of known packs. */
export const OWN_PACK = 255;
/** Entries between two turns of the event loop. */
const TURN_ENTRIES = 4096;

export interface TreePassOptions {
  readonly tree: Tree;
  readonly entryFile: string;
  readonly threads: PackThreads;
  readonly known: KnownChunks;
  readonly queue: PieceQueue;
  /** Pieces in the making, and spans in the chunking, at a time. */
  readonly inFlightMax: number;
}

/** The rows of a release in the making. */
export class TreePass {
  readonly rows: ChunkRows;
  /** Chunk rows of each entry. */
  readonly counts: Uint32Array;
  readonly inFlightMax: number;
  readonly #options: TreePassOptions;
  readonly #usedBytes: number[];
  /** Entries of the spans that were looked at. */
  #entries = 0;

  constructor(options: TreePassOptions) {
    this.#options = options;
    this.inFlightMax = options.inFlightMax;
    this.rows = new ChunkRows(options.tree.rowsMax);
    this.counts = new Uint32Array(options.tree.entries);
    this.#usedBytes = options.known.packs.map(() => 0);
  }

  /** How much of each known pack the release uses. */
  uses(): PackUse[] {
    return this.#options.known.packs.map(({ table }, pack) => ({
      usedBytes: this.#usedBytes[pack] as number,
      totalBytes: table.dataTotalBytes,
    }));
  }

  /** Chunks the whole tree; all its new chunks are in pieces that are begun or written then. */
  async chunk(): Promise<void> {
    const { tree, threads, entryFile, queue } = this.#options;
    const chunking: Promise<SpanChunks>[] = [];
    let begun = 0;
    for (const span of tree.spans) {
      while (chunking.length < this.inFlightMax && begun < tree.spans.length) {
        const next = threads.chunk(tree.spans[begun] as Span, tree.root, entryFile);
        // Awaited below; until then, or after an earlier failure, it is not unhandled.
        next.catch(() => {});
        chunking.push(next);
        begun += 1;
      }
      const chunks = await (chunking.shift() as Promise<SpanChunks>);
      this.#take(span, chunks);
      await queue.drain(this.inFlightMax);
    }
    queue.flush();
  }

  /** Packs again what the release uses of known packs other than those. */
  async appendAllBut(kept: ReadonlySet<number>): Promise<void> {
    const { tree, entryFile, queue } = this.#options;
    if (this.#usedBytes.every((used, pack) => used === 0 || kept.has(pack))) return;
    const reader = new EntryFileReader(entryFile);
    try {
      let place = 0;
      let row = 0;
      for (let index = 0; index < tree.entries; index += 1) {
        const { next } = reader.read(place);
        let offset = 0;
        for (const end = row + (this.counts[index] as number); row < end; row += 1) {
          const { pack } = this.rows.place(row);
          if (pack !== OWN_PACK && !kept.has(pack)) this.#append(row, place, offset);
          offset += this.rows.size(row);
          await queue.drain(this.inFlightMax);
        }
        place = next;
        if (index % TURN_ENTRIES === 0) await setImmediate();
      }
      queue.flush();
    } finally {
      reader.close();
    }
  }

  #append(row: number, entryPlace: number, offset: number): void {
    const first = this.rows.first(row);
    if (first < row) {
      this.rows.setPlace(row, this.rows.place(first));
      return;
    }
    const digest = this.rows.digest(row);
    const at = this.#options.queue.add(entryPlace, offset, digest, this.rows.size(row));
    this.rows.setPlace(row, { pack: OWN_PACK, ...at });
  }

  #take(span: Span, { digests, sizes, counts, places }: SpanChunks): void {
    // A later part of a long file goes on with the entry of the part before.
    const firstEntry = span.offset > 0 ? this.#entries - 1 : this.#entries;
    let row = 0;
    for (const [i, count] of counts.entries()) {
      let offset = span.offset;
      for (const end = row + count; row < end; row += 1) {
        const size = sizes[row] as number;
        this.#row(digests, row * DIGEST_BYTES, size, places[i] as number, offset);
        offset += size;
      }
      this.counts[firstEntry + i] = (this.counts[firstEntry + i] as number) + count;
    }
    this.#entries = firstEntry + counts.length;
  }

  #row(digests: Uint8Array, at: number, size: number, entryPlace: number, offset: number): void {
    const { rows } = this;
    if (rows.count >= CHUNKS_MAX) {
      const what = `the output has more than ${CHUNKS_MAX} chunks`;
      throw new PackError("too-many-chunks", `${what}; pack many small files into fewer`);
    }
    const { row, first } = rows.add(digests, at, size);
    if (first < row) {
      rows.setPlace(row, rows.place(first));
      return;
    }
    const known = this.#options.known.find(digests, at, size);
    if (known !== undefined) {
      rows.setPlace(row, known);
      this.#usedBytes[known.pack] = (this.#usedBytes[known.pack] as number) + size;
      return;
    }
    const placed = this.#options.queue.add(entryPlace, offset, rows.digest(row), size);
    rows.setPlace(row, { pack: OWN_PACK, ...placed });
  }
}
