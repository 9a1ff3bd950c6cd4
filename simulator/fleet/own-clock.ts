// The monotonic clock of one program: it counts faster or slower than true time, and never goes back nor jumps.
import type { Instant } from "../../core/machine.ts";

/** What is due by a clock that is wrong is due by it, whatever a sum of fractions comes to. */
const ROUNDING_MS = 0.001;

export class OwnClock {
  readonly #time: { readonly now: Instant };
  #rate = 1;
  /** When the rate was set last, by true time and by this clock. */
  #since: { readonly trueAt: Instant; readonly ownAt: Instant } = { trueAt: 0, ownAt: 0 };

  constructor(time: { readonly now: Instant }) {
    this.#time = time;
  }

  /** What it shows. */
  get now(): Instant {
    const { trueAt, ownAt } = this.#since;
    return ownAt + (this.#time.now - trueAt) * this.#rate;
  }

  /** From now on it counts so many milliseconds in each. */
  drift(rate: number): void {
    this.#since = { trueAt: this.#time.now, ownAt: this.now };
    this.#rate = rate;
  }

  /** True time at which it will show this instant; now, where that has passed. */
  trueAt(instant: Instant): Instant {
    const { trueAt, ownAt } = this.#since;
    // Only of a clock that was never set is nothing added up.
    const isUntouched = this.#rate === 1 && trueAt === 0 && ownAt === 0;
    const rounding = isUntouched ? 0 : ROUNDING_MS;
    const at = trueAt + (instant - ownAt) / this.#rate + rounding;
    return Math.max(this.#time.now, at);
  }
}
