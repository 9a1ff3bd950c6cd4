// The link from the origin into one region: what is pulled at a time shares it evenly. It knows bytes and
// times, not what they are for.
import type { Instant } from "../core/machine.ts";

/** What is left of a pull when it has come: less than a byte, which is what sums of fractions are off by. */
const DONE_BYTES = 0.5;

/** Calls back at an instant, and says which. */
export type At = (instant: Instant, call: (now: Instant) => void) => void;

interface Pull {
  leftBytes: number;
  readonly done: (now: Instant) => void;
}

export class Wan {
  readonly #at: At;
  #rate: number;
  #pulls: Pull[] = [];
  #settledAt: Instant = 0;
  /** Of the callback that is waited for; one of another turn is out of date. */
  #turn = 0;
  /** Bytes that were asked for. */
  pulledBytes = 0;

  /** `rate`: bytes a millisecond. */
  constructor(rate: number, at: At) {
    this.#rate = rate;
    this.#at = at;
  }

  get isBusy(): boolean {
    return this.#pulls.length > 0;
  }

  /** From now on it carries so much. */
  setRate(now: Instant, rate: number): void {
    if (rate === this.#rate) return;
    this.#settle(now);
    this.#rate = rate;
    this.#wait(now);
  }

  /** Brings so many bytes, and says when they are there. */
  pull(now: Instant, bytes: number, done: (now: Instant) => void): void {
    this.#settle(now);
    this.pulledBytes += bytes;
    this.#pulls.push({ leftBytes: bytes, done });
    this.#wait(now);
  }

  #settle(now: Instant): void {
    const each = ((now - this.#settledAt) * this.#rate) / this.#pulls.length;
    for (const pull of this.#pulls) pull.leftBytes -= each;
    this.#settledAt = now;
  }

  /** Waits for the next that is through. */
  #wait(now: Instant): void {
    this.#turn += 1;
    if (this.#pulls.length === 0) return;
    const turn = this.#turn;
    const leastBytes = Math.max(0, Math.min(...this.#pulls.map(({ leftBytes }) => leftBytes)));
    this.#at(now + (leastBytes * this.#pulls.length) / this.#rate, (at) => {
      if (turn === this.#turn) this.#end(at);
    });
  }

  #end(now: Instant): void {
    this.#settle(now);
    const done = this.#pulls.filter(({ leftBytes }) => leftBytes < DONE_BYTES);
    this.#pulls = this.#pulls.filter(({ leftBytes }) => leftBytes >= DONE_BYTES);
    this.#wait(now);
    for (const pull of done) pull.done(now);
  }
}
