// The time of a rollout: it stands still while the rollout is paused, and with it every deadline.
import type { Instant } from "../machine.ts";

export class StoppableClock {
  #stoppedMs = 0;
  #stoppedAt: Instant | undefined;

  /** Rollout time at an instant of the machine's clock. */
  at(now: Instant): Instant {
    return (this.#stoppedAt ?? now) - this.#stoppedMs;
  }

  /** When the machine's clock shows this rollout time; Infinity while stopped. */
  instantOf(at: Instant): Instant {
    return this.#stoppedAt === undefined ? at + this.#stoppedMs : Number.POSITIVE_INFINITY;
  }

  stop(now: Instant): void {
    this.#stoppedAt ??= now;
  }

  goOn(now: Instant): void {
    if (this.#stoppedAt !== undefined) this.#stoppedMs += now - this.#stoppedAt;
    this.#stoppedAt = undefined;
  }
}
