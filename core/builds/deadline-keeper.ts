// The sweeper's clock: which live build has passed which of its four deadlines. It counts on the
// monotonic clock of one process and only while that process could have heard: what begins anew (a
// start, an outage) gives every lease its full window again. It changes no build; it says what is due.
import type { Instant, Machine } from "../machine.ts";
import { attemptGraceMs, type BuildLimits, queueMsOf } from "./build-limits.ts";
import { type BuildRow, isLive, type LeasedBuild, type QueuedBuild } from "./build-row.ts";

/** Sweeps that may be late before it counts as an outage, in which nobody could be heard. */
const LATE_SWEEPS_MAX = 3;

/** What a build has used of its time. */
export interface Spent {
  readonly overallSpentMs: number;
  readonly stateSpentMs: number;
}

export type KeeperInput =
  /** The row is so now; rows of ended builds are forgotten. */
  | { readonly kind: "changed"; readonly row: BuildRow }
  /** The worker of this attempt has spoken. */
  | { readonly kind: "heard"; readonly build: string; readonly attempt: number }
  /** The store or the network was away: silence until now says nothing. */
  | { readonly kind: "outage-ended" }
  | { readonly kind: "wake" };

export type KeeperEffect =
  | {
      readonly kind: "expire";
      readonly build: string;
      readonly attempt: number;
      readonly limit: "queue" | "attempt" | "overall";
    }
  | {
      readonly kind: "lose";
      readonly build: string;
      readonly attempt: number;
      /** How long the attempt is known to have run. */
      readonly ranMs: number;
    }
  | {
      readonly kind: "checkpoint";
      readonly build: string;
      readonly attempt: number;
      readonly spent: Spent;
    };

interface Kept {
  readonly id: string;
  readonly overallMs: number;
  readonly overallDueAt: Instant;
  attempt: number;
  state: "queued" | "leased";
  cancelling: boolean;
  heartbeats: number;
  /** When this state and attempt began, restarts left out. */
  stateSince: Instant;
  /** The limit of the state: the wait, or the attempt with its grace. */
  stateDueAt: Instant;
  heardAt: Instant;
  checkpointAt: Instant;
  /** Time that a retry needs at least; it does not start later than that. */
  retryNeedsMs: number;
}

/** Keeps the deadlines of all live builds; looks at them once a sweep. */
export class DeadlineKeeper implements Machine<KeeperInput, KeeperEffect> {
  readonly #limits: BuildLimits;
  readonly #kept = new Map<string, Kept>();
  #sweepAt: Instant = Number.POSITIVE_INFINITY;

  constructor(limits: BuildLimits) {
    this.#limits = limits;
  }

  get deadline(): Instant {
    return this.#kept.size === 0 ? Number.POSITIVE_INFINITY : this.#sweepAt;
  }

  /** Live builds. */
  get liveCount(): number {
    return this.#kept.size;
  }

  step(now: Instant, input: KeeperInput, effects: KeeperEffect[]): void {
    switch (input.kind) {
      case "changed":
        this.#change(now, input.row);
        return;
      case "heard": {
        const kept = this.#kept.get(input.build);
        if (kept?.state === "leased" && kept.attempt === input.attempt) kept.heardAt = now;
        return;
      }
      case "outage-ended":
        this.#giveFullWindows(now);
        return;
      case "wake":
        this.#sweep(now, effects);
        return;
      default:
        throw input satisfies never;
    }
  }

  /** What is left of a live build's overall limit; undefined: the build is not known here. */
  overallLeftMs(build: string, now: Instant): number | undefined {
    const kept = this.#kept.get(build);
    return kept === undefined ? undefined : Math.max(0, kept.overallDueAt - now);
  }

  #change(now: Instant, row: BuildRow): void {
    if (!isLive(row)) {
      this.#kept.delete(row.id);
      return;
    }
    if (this.#kept.size === 0) this.#sweepAt = now + this.#limits.sweepMs;
    const cancelling = row.state === "leased" && row.cancelling;
    const before = this.#kept.get(row.id);
    if (before?.state === row.state && before.attempt === row.attempt) {
      // A worker that is told to stop has one silence's time for it.
      if (cancelling && !before.cancelling) {
        before.stateDueAt = Math.min(before.stateDueAt, now + this.#limits.detectMs);
      }
      before.cancelling = cancelling;
      if (heartbeatsOf(row) > before.heartbeats) before.heardAt = now;
      before.heartbeats = heartbeatsOf(row);
      return;
    }
    const overallDueAt = before?.overallDueAt ?? now + row.overallMs - row.overallSpentMs;
    const stateLeftMs = this.#stateMs(row) - row.stateSpentMs;
    const stateMs = cancelling ? Math.min(stateLeftMs, this.#limits.detectMs) : stateLeftMs;
    this.#kept.set(row.id, {
      id: row.id,
      overallMs: row.overallMs,
      overallDueAt,
      attempt: row.attempt,
      state: row.state,
      cancelling,
      heartbeats: heartbeatsOf(row),
      stateSince: now - row.stateSpentMs,
      stateDueAt:
        now + (row.state === "leased" ? Math.max(stateMs, this.#limits.detectMs) : stateMs),
      heardAt: now,
      checkpointAt: now + this.#limits.checkpointMs,
      retryNeedsMs: row.retryNeedsMs,
    });
  }

  #stateMs(row: QueuedBuild | LeasedBuild): number {
    return row.state === "leased"
      ? row.attemptMs + attemptGraceMs(this.#limits)
      : queueMsOf(row.overallMs, this.#limits);
  }

  #giveFullWindows(now: Instant): void {
    for (const kept of this.#kept.values()) {
      if (kept.state !== "leased") continue;
      kept.heardAt = now;
      kept.stateDueAt = Math.max(kept.stateDueAt, now + this.#limits.detectMs);
    }
  }

  #sweep(now: Instant, effects: KeeperEffect[]): void {
    if (now < this.#sweepAt) return;
    if (now - this.#sweepAt > LATE_SWEEPS_MAX * this.#limits.sweepMs) this.#giveFullWindows(now);
    this.#sweepAt = now + this.#limits.sweepMs;
    for (const kept of this.#kept.values()) effects.push(...this.#due(now, kept));
  }

  #due(now: Instant, kept: Kept): KeeperEffect[] {
    const { id: build, attempt } = kept;
    if (now >= kept.stateDueAt) {
      const limit = kept.state === "leased" ? "attempt" : "queue";
      return [{ kind: "expire", build, attempt, limit }];
    }
    if (kept.state === "queued" && now >= kept.overallDueAt - kept.retryNeedsMs) {
      return [{ kind: "expire", build, attempt, limit: "overall" }];
    }
    if (kept.state === "leased" && now >= kept.heardAt + this.#limits.detectMs) {
      return [{ kind: "lose", build, attempt, ranMs: kept.heardAt - kept.stateSince }];
    }
    if (now < kept.checkpointAt) return [];
    kept.checkpointAt = now + this.#limits.checkpointMs;
    return [{ kind: "checkpoint", build, attempt, spent: this.#spent(now, kept) }];
  }

  #spent(now: Instant, kept: Kept): Spent {
    return {
      overallSpentMs: Math.max(0, Math.round(kept.overallMs - (kept.overallDueAt - now))),
      stateSpentMs: Math.max(0, Math.round(now - kept.stateSince)),
    };
  }
}

/** Heartbeats of the attempt that are written down: also those that another process took. */
function heartbeatsOf(row: QueuedBuild | LeasedBuild): number {
  return row.state === "leased" ? row.heartbeats : 0;
}
