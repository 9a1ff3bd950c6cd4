// The most that was counted in the last minutes, in two numbers: those who are away are those who were there.
import type { Instant } from "../machine.ts";

/** A window; the peak is that of this one and the one before, 5 to 10 min. */
const WINDOW_MS = 300_000;

export class RecentPeak {
  #window = 0;
  #now = 0;
  #before = 0;

  /** So many are counted now. */
  note(at: Instant, count: number): void {
    this.#turn(at);
    this.#now = Math.max(this.#now, count);
  }

  /** The most of the last minutes. */
  at(at: Instant): number {
    this.#turn(at);
    return Math.max(this.#now, this.#before);
  }

  #turn(at: Instant): void {
    const window = Math.floor(at / WINDOW_MS);
    if (window === this.#window) return;
    this.#before = window === this.#window + 1 ? this.#now : 0;
    this.#now = 0;
    this.#window = window;
  }
}
