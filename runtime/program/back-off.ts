// Full-jitter back-off: a random wait up to a bound that doubles, so that many who fail at once do not
// come back at once.
import { setTimeout as sleep } from "node:timers/promises";

/** Waits between tries; `reset` after a success. */
export class BackOff {
  readonly #firstMs: number;
  readonly #lastMs: number;
  #boundMs: number;

  /** The bound starts at `firstMs` and doubles up to `lastMs`. */
  constructor(firstMs: number, lastMs: number) {
    this.#firstMs = firstMs;
    this.#lastMs = lastMs;
    this.#boundMs = firstMs;
  }

  reset(): void {
    this.#boundMs = this.#firstMs;
  }

  /** Milliseconds to wait before the next try. */
  next(): number {
    const waitMs = Math.random() * this.#boundMs;
    this.#boundMs = Math.min(this.#boundMs * 2, this.#lastMs);
    return waitMs;
  }

  /** Waits before the next try; returns at once where `signal` is aborted. */
  async wait(signal?: AbortSignal): Promise<void> {
    await pause(this.next(), signal);
  }
}

/** Sleeps; returns early, without an error, where `signal` is aborted. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { ...(signal && { signal }) }).catch((error: Error) => {
    if (error.name !== "AbortError") throw error;
  });
}
