// The deadlines of the embedded store's leases. It says when a lease is over; that its keys go, and
// that the end is durable, is the caller's part. An ended lease is never alive again, even when
// deleting its keys fails and has to be tried again.
import type { LeaseClock } from "./lease-clock.ts";
import type { LeaseId } from "./store.ts";

/** Between two tries to delete an ended lease's keys: a full disk is not freed faster. */
const RETRY_MS = 1000;

interface Lease {
  readonly ttlMs: number;
  deadlineMs: number;
  ended: boolean;
}

/** Leases by id, swept by one timer set to the earliest deadline. */
export class LeaseTable {
  readonly #clock: LeaseClock;
  readonly #end: (lease: LeaseId) => Promise<void>;
  readonly #leases = new Map<LeaseId, Lease>();
  #cancelWake: (() => void) | undefined;
  #closed = false;

  /** `end` deletes an ended lease's keys; when it rejects it is called again a second later. */
  constructor(clock: LeaseClock, end: (lease: LeaseId) => Promise<void>) {
    this.#clock = clock;
    this.#end = end;
  }

  /** Starts a lease with its full time. */
  add(lease: LeaseId, ttlMs: number): void {
    const deadlineMs = this.#clock.nowMs() + ttlMs;
    this.#leases.set(lease, { ttlMs, deadlineMs, ended: false });
    this.#setTimer();
  }

  /** Whether the lease exists and has not ended. */
  isAlive(lease: LeaseId): boolean {
    const found = this.#leases.get(lease);
    return found !== undefined && !found.ended && found.deadlineMs > this.#clock.nowMs();
  }

  /** Gives a lease that is alive its full time again; false when it is not. */
  keepAlive(lease: LeaseId): boolean {
    const found = this.#leases.get(lease);
    if (found === undefined || !this.isAlive(lease)) return false;
    found.deadlineMs = this.#clock.nowMs() + found.ttlMs;
    this.#setTimer();
    return true;
  }

  /** Forgets a lease whose keys are gone. */
  remove(lease: LeaseId): void {
    this.#leases.delete(lease);
    this.#setTimer();
  }

  /** Stops the timer; leases end no more. */
  close(): void {
    this.#closed = true;
    this.#cancelWake?.();
  }

  #setTimer(): void {
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    if (this.#closed || this.#leases.size === 0) return;
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const { deadlineMs } of this.#leases.values()) {
      earliestMs = Math.min(earliestMs, deadlineMs);
    }
    const delayMs = Math.max(0, Math.ceil(earliestMs - this.#clock.nowMs()));
    this.#cancelWake = this.#clock.wake(delayMs, () => this.#sweep());
  }

  #sweep(): void {
    const nowMs = this.#clock.nowMs();
    for (const [id, lease] of this.#leases) {
      if (lease.deadlineMs > nowMs) continue;
      lease.ended = true;
      lease.deadlineMs = nowMs + RETRY_MS;
      // A failed end is tried again at the new deadline; success removes the lease.
      this.#end(id).catch(() => undefined);
    }
    this.#setTimer();
  }
}
