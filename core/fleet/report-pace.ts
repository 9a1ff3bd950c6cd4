// When a relay reports: at once after a quiet time, else once a second; while permits are out it waits for their
// answers. What is in a report is not its business.
import type { Instant, Machine } from "../machine.ts";

/** Shortest time between two reports. */
const INTERVAL_MS = 1_000;
/** Longest, where nothing changes: the leader's view of a relay is never older than two beats. */
const QUIET_MS = 2_000;
/** How long the first change waits for those that come with it. */
const GATHER_MS = 20;

export type PaceInput =
  /** Something that a report tells has changed. */
  | { readonly kind: "changed" }
  /** The report that was asked for has left; without this there was nobody to send it to. */
  | { readonly kind: "sent" }
  | { readonly kind: "wake" };

export type PaceEffect = { readonly kind: "report" };

export class ReportPace implements Machine<PaceInput, PaceEffect> {
  readonly #isBusy: () => boolean;
  #lastAt: Instant = Number.NEGATIVE_INFINITY;
  /** When the oldest change that is not told yet came, and when it will be looked at. */
  #changedAt: Instant = Number.POSITIVE_INFINITY;
  #dueAt: Instant = Number.POSITIVE_INFINITY;
  #quietAt: Instant = Number.POSITIVE_INFINITY;

  /**
   * While it `isBusy` a change waits for more: what is told of half of the permits would hold up the word that
   * all are answered by a second.
   */
  constructor(isBusy: () => boolean) {
    this.#isBusy = isBusy;
  }

  get deadline(): Instant {
    return Math.min(this.#dueAt, this.#quietAt);
  }

  step(now: Instant, input: PaceInput, effects: PaceEffect[]): void {
    switch (input.kind) {
      case "changed":
        this.#changedAt = Math.min(this.#changedAt, now);
        this.#look(Math.max(now + GATHER_MS, this.#lastAt + INTERVAL_MS));
        return;
      case "sent":
        this.#lastAt = now;
        return;
      case "wake":
        if (now >= this.deadline) this.#due(now, effects);
        return;
      default:
        input satisfies never;
    }
  }

  #look(at: Instant): void {
    if (at >= this.#dueAt) return;
    this.#dueAt = at;
    this.#quietAt = Number.POSITIVE_INFINITY;
  }

  #due(now: Instant, effects: PaceEffect[]): void {
    const latest = this.#changedAt + INTERVAL_MS;
    const isChanged = latest < Number.POSITIVE_INFINITY;
    this.#dueAt = Number.POSITIVE_INFINITY;
    if (isChanged && this.#isBusy() && now < latest) {
      this.#look(latest);
      return;
    }
    this.#changedAt = Number.POSITIVE_INFINITY;
    this.#quietAt = now + QUIET_MS;
    effects.push({ kind: "report" });
  }
}
