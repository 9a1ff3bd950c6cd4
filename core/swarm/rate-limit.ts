// How many bytes may go in a while: a limit that all swarms of a process share, each way one. It knows no
// clock: `now` is handed in, and whoever has to wait hears when to ask again. Those who wait get their
// turns in order, so that no swarm takes all.
import type { Instant } from "../machine.ts";

/** After a pause so much time's worth goes at once, and one block: a timer may come so late. */
export const BURST_MS = 20;
/** Who does not come when its turn is there loses it: several timers of a busy process. */
const TURN_MS = 20;
/** A turn that somebody else has is soon over. */
const NEXT_TURN_MS = 1;

interface Turn {
  readonly whose: object;
  dueAt: Instant;
}

export class RateLimit {
  /** Bytes a millisecond. */
  readonly rate: number;
  /** All that went is paid for by then. */
  #freeAt: Instant = Number.NEGATIVE_INFINITY;
  readonly #turns: Turn[] = [];

  constructor(rate: number) {
    this.rate = rate;
  }

  /** When to ask again, always later than now; undefined: a block may go now, and be taken. */
  waitsUntil(now: Instant, whose: object): Instant | undefined {
    while ((this.#turns[0]?.dueAt ?? now) + TURN_MS < now) this.#turns.shift();
    const [first] = this.#turns;
    if (this.#freeAt <= now && (first === undefined || first.whose === whose)) return undefined;
    const dueAt = Math.max(this.#freeAt, now + NEXT_TURN_MS);
    const turn = this.#turns.find((one) => one.whose === whose);
    if (turn === undefined) this.#turns.push({ whose, dueAt });
    else turn.dueAt = dueAt;
    return dueAt;
  }

  /** It waits no more. */
  leave(whose: object): void {
    const at = this.#turns.findIndex((one) => one.whose === whose);
    if (at >= 0) this.#turns.splice(at, 1);
  }

  /** The bytes go now; whoever took them queues behind the others for more. */
  take(now: Instant, bytes: number, whose: object): void {
    this.#freeAt = Math.max(this.#freeAt, now - BURST_MS) + bytes / this.rate;
    if (this.#turns[0]?.whose === whose) this.#turns.shift();
  }
}
