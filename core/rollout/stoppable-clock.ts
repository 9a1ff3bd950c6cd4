// The time of a rollout: it stands still while the rollout is paused, and with it every deadline.
import type { Instant } from "../machine.ts";

/** What is due has come by the time it is looked at, whatever a sum of fractions comes to: else it is due again at once. */
const ROUNDING_MS = 0.001;

export class StoppableClock {
  #stoppedMs = 0;
  #stoppedAt: Instant | undefined;

  /** Rollout time at an instant of the machine's clock. */
  at(now: Instant): Instant {
    return (this.#stoppedAt ?? now) - this.#stoppedMs;
  }

  /** An instant of the machine's clock at which this rollout time has just come; Infinity while stopped. */
  instantOf(at: Instant): Instant {
    if (this.#stoppedAt !== undefined) return Number.POSITIVE_INFINITY;
    const instant = at + this.#stoppedMs;
    return instant - this.#stoppedMs >= at ? instant : instant + ROUNDING_MS;
  }

  stop(now: Instant): void {
    this.#stoppedAt ??= now;
  }

  goOn(now: Instant): void {
    if (this.#stoppedAt !== undefined) this.#stoppedMs += now - this.#stoppedAt;
    this.#stoppedAt = undefined;
  }
}
