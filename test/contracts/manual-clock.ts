// A lease clock that a test turns by hand, so that leases expire without waiting.
import type { LeaseClock } from "../../runtime/store/lease-clock.ts";

/** Time stands still until `pass` is called. */
export class ManualClock implements LeaseClock {
  #nowMs = 0;
  readonly #wakes = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  wake(delayMs: number, callback: () => void): () => void {
    const wake = { atMs: this.#nowMs + delayMs, callback };
    this.#wakes.add(wake);
    return () => this.#wakes.delete(wake);
  }

  /** Lets time pass and calls what is due, earliest first. */
  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    while (true) {
      const [next] = [...this.#wakes].sort((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.#wakes.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = endMs;
  }
}
