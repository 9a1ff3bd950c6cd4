// How often and how long a request to GCS is tried again: with full jitter, while it is worth it, and
// never without bound.
import { BackOff, pause } from "../program/back-off.ts";
import { isTransient } from "./gcs-failures.ts";

/** First and last bound of the random wait between tries. */
const WAIT_MS_FIRST = 250;
const WAIT_MS_LAST = 8_000;
/**
 * Failing for so long without progress is failing: about 20 tries, four times what Google's own libraries
 * wait for a busy bucket, and well within the 10 min that a mirror may take.
 */
export const PATIENCE_MS = 60_000;

/** The patience of one operation of several requests. */
export class Patience {
  readonly #patienceMs: number;
  readonly #backOff = new BackOff(WAIT_MS_FIRST, WAIT_MS_LAST);
  #failingSince: number | undefined;

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** Tells that something got done: what fails from now on has its whole time again. */
  progress(): void {
    this.#failingSince = undefined;
    this.#backOff.reset();
  }

  /** Waits before the next try; throws the error where there shall be none. */
  async outlast(error: unknown): Promise<void> {
    const now = performance.now();
    this.#failingSince ??= now;
    const waitMs = this.#backOff.next();
    const isOver = now + waitMs > this.#failingSince + this.#patienceMs;
    if (isOver || !isTransient(error)) throw error;
    await pause(waitMs);
  }

  /** Repeats a request that may be repeated. */
  async untilDone<Value>(send: () => Promise<Value>): Promise<Value> {
    for (;;) {
      try {
        return await send();
      } catch (error) {
        await this.outlast(error);
      }
    }
  }
}
