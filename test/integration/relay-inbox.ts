// Messages that a scripted program has received, to be awaited by what they say.
import assert from "node:assert/strict";
import { Wakes } from "./wakes.ts";

/** Longest wait of a test for one message; only a failure takes it. */
const WAIT_MS_MAX = 60_000;

/** What has come so far, and what is awaited. */
export class Inbox<Message> {
  readonly all: Message[] = [];
  readonly #wakes = new Wakes();

  push(message: Message): void {
    this.all.push(message);
    this.#wakes.wake();
  }

  /** The first message, of those that come from `from` on, of which `read` returns something. */
  async find<Found>(
    what: string,
    read: (message: Message) => Found | undefined | false,
    from = 0,
  ): Promise<Found> {
    const deadline = performance.now() + WAIT_MS_MAX;
    for (let at = from; ; ) {
      for (; at < this.all.length; at += 1) {
        const found = read(this.all[at] as Message);
        if (found !== undefined && found !== false) return found;
      }
      const leftMs = deadline - performance.now();
      assert.ok(leftMs > 0, `no ${what} in ${WAIT_MS_MAX} ms; last: ${shown(this.all.at(-1))}`);
      await this.#wakes.next(leftMs);
    }
  }
}

function shown(message: unknown): string {
  return (JSON.stringify(message) ?? "nothing").slice(0, 2_000);
}
