// The earliest of many instants at which a machine has something to look at, kept without a list of
// them: setting it is cheap, and whoever is woken by it looks at everything and sets it anew.
import type { Instant } from "../machine.ts";

/** A lower bound of when something is due; waking too early does no harm. */
export class Alarm {
  #at: Instant = Number.POSITIVE_INFINITY;

  /** Infinity while nothing is due. */
  get at(): Instant {
    return this.#at;
  }

  /** Something is due by then. */
  set(at: Instant): void {
    if (at < this.#at) this.#at = at;
  }

  /** Nothing is due, until it is set again. */
  clear(): void {
    this.#at = Number.POSITIVE_INFINITY;
  }
}
