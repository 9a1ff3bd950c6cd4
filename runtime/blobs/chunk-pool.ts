// The memory that uploads of one store gather their chunks in, shared by all and bounded.

import { freeMemory } from "../free-memory.ts";

/** The unit of an upload: what GCS recommends at least, and a multiple of the 256 KiB that it asks for. */
export const CHUNK_BYTES = 8 << 20;
/** Chunks at once, of all uploads, by default: 32 MiB. A relay has 250 MB, 40 are the library's, 140 its own. */
export const CHUNKS_DEFAULT = 4;

/** Hands out buffers of CHUNK_BYTES; who asks while all are out waits its turn. */
export class ChunkPool {
  readonly #chunksMax: number;
  readonly #waiting: (() => void)[] = [];
  #free: Uint8Array[] = [];
  #out = 0;

  constructor(chunksMax: number) {
    this.#chunksMax = chunksMax;
  }

  async take(): Promise<Uint8Array> {
    if (this.#out === this.#chunksMax)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#out += 1;
    // Not cleared, so that a short blob touches no more of it than it has bytes.
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }

  /** Takes a buffer back that nobody reads any more. */
  give(chunk: Uint8Array): void {
    this.#free.push(chunk);
    this.#settle();
  }

  /** Writes off a buffer that a broken connection may still read. */
  lose(): void {
    this.#settle();
  }

  #settle(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#out -= 1;
    else next();
    if (this.#out > 0) return;
    // Nothing is under way: the memory is worth more elsewhere, at once, as 32 MiB may wait long for a collector.
    for (const chunk of this.#free) freeMemory(chunk);
    this.#free = [];
  }
}
