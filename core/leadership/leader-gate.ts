// Which of a leader's words a relay may obey: only those of a leader whose heartbeat is younger than its time to
// live, and never of an epoch below the highest it has seen. What comes before a stream's first heartbeat is held.
import type { Instant } from "../machine.ts";

/** Commands held while no heartbeat has come: a snapshot of 8 packs for 1,000 services, and more. */
export const HELD_COMMANDS_MAX = 20_000;

/** The highest epoch that was seen, and how long its leader is known to live. */
export class LeaderGate {
  #epoch: number;
  #ledUntil: Instant = Number.NEGATIVE_INFINITY;

  /** `epoch`: the highest seen in earlier lives. */
  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Until when the leader is known to live. */
  get ledUntil(): Instant {
    return this.#ledUntil;
  }

  isLed(now: Instant): boolean {
    return now < this.#ledUntil;
  }

  /** `old`: refuse it. `new`: keep the epoch durably, then `raise` it, and only then obey. */
  judge(epoch: number): "old" | "current" | "new" {
    if (epoch < this.#epoch) return "old";
    return epoch === this.#epoch ? "current" : "new";
  }

  /** A higher epoch is kept on disk, so that a restart refuses what this life would. */
  raise(epoch: number): void {
    this.#epoch = Math.max(this.#epoch, epoch);
  }

  /** A heartbeat that was not old came. */
  heard(now: Instant, ttlMs: number): void {
    this.#ledUntil = now + ttlMs;
  }
}

/** One stream from a leader. */
export class LeaderStream<Command> {
  #isUp = false;
  #held: Command[] = [];

  /** A heartbeat has been taken on this stream. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Commands that wait for a heartbeat. */
  get heldCount(): number {
    return this.#held.length;
  }

  /** What to do with a command; `full`: leave the stream. */
  take(command: Command, isLed: boolean): "obey" | "held" | "full" {
    if (this.#isUp && isLed) return "obey";
    if (this.#held.length >= HELD_COMMANDS_MAX) return "full";
    // From a leader that may have lost its place; its next heartbeat tells.
    this.#held.push(command);
    return "held";
  }

  /** A heartbeat was taken; what was held may be obeyed now, in order. */
  led(): { readonly isFirst: boolean; readonly held: readonly Command[] } {
    const isFirst = !this.#isUp;
    const held = this.#held;
    this.#isUp = true;
    this.#held = [];
    return { isFirst, held };
  }
}
