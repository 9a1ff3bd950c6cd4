// When a rollout may write down what it decided: all rollouts of a leader together write at a steady rate, and a
// few at once after a rest. What is decided while one waits is written with it.
import type { Instant } from "../machine.ts";

/**
 * Writes a second of all rollouts together: 10 with 20 relays that report each second would make over 100, each of
 * which is a flush to disk at every member of etcd. The store is to have 50 at most.
 */
export const ROLLOUT_WRITES_PER_S = 15;
/** Of these so many at once: a rollout alone is not slowed down. */
const BURST = 10;

/** Gives turns out, in the order in which they are asked for. */
export class WritePace {
  readonly #intervalMs: number;
  #nextAt: Instant = Number.NEGATIVE_INFINITY;

  constructor(writesPerS: number) {
    this.#intervalMs = 1_000 / writesPerS;
  }

  /** When the write that asks now has its turn; it is to make it. */
  turn(now: Instant): Instant {
    const at = Math.max(this.#nextAt, now - (BURST - 1) * this.#intervalMs);
    this.#nextAt = at + this.#intervalMs;
    return Math.max(at, now);
  }
}
