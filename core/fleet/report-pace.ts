// When a relay reports: at once after a quiet time, else once a second; while permits are out it waits for their
// answers. What a leader waits for does not wait for that second, now and then. What is in a report is not its business.
import type { Instant, Machine } from "../machine.ts";

/** Shortest time between two reports. */
const INTERVAL_MS = 1_000;
/**
 * Reports that may come before their time, and how soon there may be one more. A rollout begins with three words of a
 * relay that all wait for: the packs are there, the wave is counted, its permits are answered.
 */
const EARLY_MAX = 3;
const EARLY_MS = 2_000;
/** Longest, where nothing changes: the leader's view of a relay is never older than two beats. */
const QUIET_MS = 2_000;
/** How long the first change waits for those that come with it. */
const GATHER_MS = 20;

export type PaceInput =
  /** Something that a report tells has changed. */
  | { readonly kind: "changed" }
  /** The same, and a rollout goes on as soon as it is told. */
  | { readonly kind: "awaited" }
  /** The report that was asked for has left; without this there was nobody to send it to. */
  | { readonly kind: "sent" }
  | { readonly kind: "wake" };

export type PaceEffect = { readonly kind: "report" };

export class ReportPace implements Machine<PaceInput, PaceEffect> {
  readonly #isBusy: () => boolean;
  #wasBusy = false;
  #lastAt: Instant = Number.NEGATIVE_INFINITY;
  /** When as many may come early as ever. */
  #restedAt: Instant = Number.NEGATIVE_INFINITY;
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
        this.#changed(now, false);
        return;
      case "awaited":
        this.#changed(now, true);
        return;
      case "sent":
        if (now < this.#lastAt + INTERVAL_MS) {
          this.#restedAt = Math.max(this.#restedAt, now) + EARLY_MS;
        }
        this.#lastAt = now;
        return;
      case "wake":
        if (now >= this.deadline) this.#due(now, effects);
        return;
      default:
        input satisfies never;
    }
  }

  #changed(now: Instant, isAwaited: boolean): void {
    this.#changedAt = Math.min(this.#changedAt, now);
    const isBusy = this.#isBusy();
    // The last permit is answered.
    const isOver = this.#wasBusy && !isBusy;
    this.#wasBusy = isBusy;
    const inTurn = this.#lastAt + INTERVAL_MS;
    const early = this.#restedAt - (EARLY_MAX - 1) * EARLY_MS;
    const from = isAwaited || isOver ? Math.min(inTurn, early) : inTurn;
    this.#look(Math.max(now + GATHER_MS, from));
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
