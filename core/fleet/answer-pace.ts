// When an agent's asks about swarms are answered: an answer may be a thousand times as long as its ask, so
// each swarm is answered about once in a while, however often it is joined, left and asked about.
import type { Instant } from "../machine.ts";

/** Between two answers about one swarm; who lacks neighbours asks every 5 s. */
export const ANSWER_MS = 1_000;
/** Swarms answered about in that time: twice the 256 that an agent may be in. */
const ANSWERED_MAX = 512;

/** The answers that one agent gets. */
export class AnswerPace {
  /** By swarm, the oldest first. */
  readonly #answeredAt = new Map<string, Instant>();

  /** When the next answer about a swarm may be given, `now` at the earliest; undefined: too many are asked about. */
  dueAt(now: Instant, swarm: string): Instant | undefined {
    for (const [old, at] of this.#answeredAt) {
      if (now < at + ANSWER_MS) break;
      this.#answeredAt.delete(old);
    }
    const at = this.#answeredAt.get(swarm);
    if (at !== undefined) return at + ANSWER_MS;
    return this.#answeredAt.size < ANSWERED_MAX ? now : undefined;
  }

  /** An answer about a swarm was given. */
  answered(now: Instant, swarm: string): void {
    this.#answeredAt.delete(swarm);
    this.#answeredAt.set(swarm, now);
  }
}
