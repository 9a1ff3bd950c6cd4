// The monotonic clock and timer that leases expire on. Tests pass one that they turn by hand; wall
// time plays no part, because it jumps.

/** Milliseconds that only rise, and a call after some of them. */
export interface LeaseClock {
  /** Milliseconds since an arbitrary moment; never goes back. */
  nowMs(): number;
  /** Calls back once, not before `delayMs` have passed; the returned function cancels. */
  wake(delayMs: number, callback: () => void): () => void;
}

/** The process's own monotonic clock; its timers keep no process alive. */
export const PROCESS_CLOCK: LeaseClock = {
  nowMs: () => performance.now(),
  wake: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
