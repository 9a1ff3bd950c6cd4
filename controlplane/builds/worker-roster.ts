// Which workers have been heard of lately, for people to see. Nothing is decided by it.

/** A worker that says nothing for so long counts as gone. */
const SEEN_MS = 15_000;

/** The workers of one control plane. */
export class WorkerRoster {
  readonly #seenAt = new Map<string, number>();
  readonly #waiting = new Map<string, number>();

  /** The worker has called. */
  seen(worker: string): void {
    this.#seenAt.set(worker, performance.now());
  }

  /** The worker waits for work as long as `wait` runs. */
  async whileWaiting<Result>(worker: string, wait: () => Promise<Result>): Promise<Result> {
    this.#waiting.set(worker, (this.#waiting.get(worker) ?? 0) + 1);
    try {
      return await wait();
    } finally {
      const left = (this.#waiting.get(worker) ?? 1) - 1;
      if (left === 0) this.#waiting.delete(worker);
      else this.#waiting.set(worker, left);
      this.seen(worker);
    }
  }

  /** Workers that wait now or have called lately. */
  get count(): number {
    const oldest = performance.now() - SEEN_MS;
    for (const [worker, at] of this.#seenAt) if (at < oldest) this.#seenAt.delete(worker);
    return new Set([...this.#seenAt.keys(), ...this.#waiting.keys()]).size;
  }
}
