// How long an agent waits before it tries something again, by how often it has failed in a row.
import type { Instant } from "../machine.ts";

/** First and longest wait, in milliseconds; doubled in between. */
export interface Backoff {
  readonly firstMs: number;
  readonly mostMs: number;
}

/** Fetching and staging: a full disk or a lost relay is asked again within half a minute. */
export const STAGING_BACKOFF: Backoff = { firstMs: 1_000, mostMs: 30_000 };
/** A service that dies: at once would spin, a minute is what an operator waits for. */
export const RESTART_BACKOFF: Backoff = { firstMs: 500, mostMs: 60_000 };
/** A switch that failed and needs no permit: each try disturbs what runs. */
export const SWITCH_BACKOFF: Backoff = { firstMs: 30_000, mostMs: 600_000 };
/** A relay that is lost, with full jitter: 100,000 agents that lose theirs at once come back over 10 s. */
export const RELAY_BACKOFF: Backoff = { firstMs: 100, mostMs: 10_000 };
/** A process that has been up for so long starts counting its failures anew. */
export const UP_MS = 10_000;

/** Wait after the n-th failure in a row, n from 1. */
export function backoffMs({ firstMs, mostMs }: Backoff, failures: number): number {
  return Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 30));
}

/** Counts failures in a row of one thing and says when it may be tried again. */
export class Attempts {
  readonly #backoff: Backoff;
  #failures = 0;
  #retryAt: Instant = Number.POSITIVE_INFINITY;

  constructor(backoff: Backoff) {
    this.#backoff = backoff;
  }

  /** When it may be tried again; Infinity: nothing has to be waited for. */
  get retryAt(): Instant {
    return this.#retryAt;
  }

  failed(now: Instant): void {
    this.#failures += 1;
    this.#retryAt = now + backoffMs(this.#backoff, this.#failures);
  }

  reset(): void {
    this.#failures = 0;
    this.#retryAt = Number.POSITIVE_INFINITY;
  }

  /** Whether the wait is not over; ends it where it is. */
  mustWait(now: Instant): boolean {
    if (this.#retryAt === Number.POSITIVE_INFINITY) return false;
    if (now < this.#retryAt) return true;
    this.#retryAt = Number.POSITIVE_INFINITY;
    return false;
  }
}
