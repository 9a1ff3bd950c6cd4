// A pipe of byte arrays between one writer and one reader in this process, without a buffer: a write
// resolves when the reader asks for more, so that memory in flight is what the reader holds.

/** One writer, one reader. */
export class ByteChannel implements AsyncIterable<Uint8Array> {
  #waiting: { bytes: Uint8Array; taken: () => void }[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #error: Error | undefined;
  #abandoned = false;

  /** Resolves when the reader has done with the bytes, or has gone. */
  write(bytes: Uint8Array): Promise<void> {
    if (this.#abandoned || this.#error !== undefined) return Promise.resolve();
    return new Promise((taken) => {
      this.#waiting.push({ bytes, taken });
      this.#wake?.();
    });
  }

  /** The reader ends after what was written. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The reader fails at once; writes resolve. */
  fail(error: Error): void {
    this.#error = error;
    this.#release();
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      while (true) {
        if (this.#error !== undefined) throw this.#error;
        const next = this.#waiting[0];
        if (next !== undefined) {
          yield next.bytes;
          this.#waiting.shift();
          next.taken();
        } else if (this.#ended) return;
        else {
          await new Promise<void>((wake) => {
            this.#wake = wake;
          });
          this.#wake = undefined;
        }
      }
    } finally {
      this.#abandoned = true;
      this.#release();
    }
  }

  #release(): void {
    for (const { taken } of this.#waiting.splice(0)) taken();
  }
}
