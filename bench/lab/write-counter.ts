// Counts the writes of an etcd by its revision, which each transaction that writes raises by one.
import { setTimeout as sleep } from "node:timers/promises";
import type { Store } from "../../runtime/store/store.ts";

/** Between two looks; a second's writes are those between looks a second apart, wherever it begins. */
const LOOK_MS = 100;
const SECOND_MS = 1_000;

interface Look {
  readonly at: number;
  readonly revision: number;
}

/** Looks at a store until it is stopped. */
export class WriteCounter {
  readonly #store: Store;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  #looks: Look[] = [];
  #first: Look | undefined;
  /** Most writes in any second. */
  perSecondMax = 0;

  constructor(store: Store) {
    this.#store = store;
    this.#running = this.#run();
  }

  /** Writes a second on average. */
  get perSecond(): number {
    const last = this.#looks.at(-1);
    if (this.#first === undefined || last === undefined) return 0;
    return (
      ((last.revision - this.#first.revision) * SECOND_MS) / Math.max(1, last.at - this.#first.at)
    );
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const { revision } = await this.#store.range({ prefix: "", limit: 1 });
      this.#take({ at: performance.now(), revision });
      await sleep(LOOK_MS);
    }
  }

  #take(look: Look): void {
    this.#first ??= look;
    this.#looks.push(look);
    // The youngest look that is a second old: what came since came in a second and a bit.
    const from = this.#looks.findLastIndex(({ at }) => at <= look.at - SECOND_MS);
    if (from < 0) return;
    this.#looks = this.#looks.slice(from);
    const before = this.#looks[0] as Look;
    this.perSecondMax = Math.max(this.perSecondMax, look.revision - before.revision);
  }
}
