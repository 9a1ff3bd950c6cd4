// The campaign of one replica for the leader's place: when it asks for it, how it keeps it, and when it must
// take itself for deposed. The place is a key of the store on a lease; this machine only counts time, on its
// own monotonic clock, and says what to ask of the store. What a leader does is not its business.
import type { Instant, Machine } from "../machine.ts";

/** How long things take; see LEADER_TIMES for those of a cluster. */
export interface CampaignTimes {
  /** The lease's time in the store. */
  readonly ttlMs: number;
  /** Between two confirmations of the lease. */
  readonly keepAliveMs: number;
  /** A leader stops so long before its lease can end, by its own clock. */
  readonly marginMs: number;
  /** After a try that failed. */
  readonly retryMs: number;
  /** After resigning, so that another gets the place. */
  readonly restMs: number;
}

/**
 * TTL 3 s (etcd takes no less than 2), confirmed twice a second, each time whether the answer before has come or not:
 * answers may take 2 s, as on a disk whose flushes take a second (decision 0025). The margin of 500 ms is a sixth of
 * the TTL: clocks that differ by less than that in speed cannot make two leaders.
 */
export const LEADER_TIMES: CampaignTimes = {
  ttlMs: 3_000,
  keepAliveMs: 500,
  marginMs: 500,
  retryMs: 500,
  restMs: 6_000,
};

/**
 * Of a store that one process has for itself: nobody else waits for the place, so that a process that stands
 * still for some seconds keeps it.
 */
export const SOLE_TIMES: CampaignTimes = { ...LEADER_TIMES, ttlMs: 60_000, restMs: 0 };

/** Why a leader is one no more. */
export type StepDownReason = "not-confirmed" | "lease-lost" | "replaced" | "fenced" | "resigned";

/** Facts; those on a lease name it, so that one that comes late is told from one of now. */
export type CampaignInput =
  /** The key lies on this lease as of this revision; undefined: there is none. */
  | { readonly kind: "leader-seen"; readonly lease: string | undefined; readonly revision: number }
  | { readonly kind: "lease-granted"; readonly lease: string }
  | { readonly kind: "grant-failed" }
  | {
      readonly kind: "elected";
      readonly lease: string;
      readonly epoch: number;
      readonly revision: number;
    }
  /** Somebody else has the place, or it is not known who. */
  | { readonly kind: "not-elected"; readonly lease: string }
  /** The store confirmed the lease when it was asked at that instant, or later. */
  | { readonly kind: "kept"; readonly lease: string; readonly askedAt: Instant }
  | { readonly kind: "lease-lost"; readonly lease: string }
  /** A write under this epoch was refused, because there is a higher one. */
  | { readonly kind: "fenced"; readonly epoch: number }
  | { readonly kind: "resign-asked" }
  | { readonly kind: "stopped" }
  | { readonly kind: "wake" };

/** Commands; each of `grant` and `run` is answered by one of its facts. */
export type CampaignEffect =
  /** Read who has the place. */
  | { readonly kind: "look" }
  | { readonly kind: "grant" }
  /** Take the place if it is free, and raise the epoch, in one transaction. */
  | { readonly kind: "run"; readonly lease: string }
  | { readonly kind: "keep-alive"; readonly lease: string; readonly askedAt: Instant }
  | { readonly kind: "revoke"; readonly lease: string }
  | { readonly kind: "lead"; readonly epoch: number; readonly revision: number }
  | { readonly kind: "step-down"; readonly epoch: number; readonly reason: StepDownReason };

type State =
  | { readonly name: "following"; readonly lookAt: Instant }
  | { readonly name: "asking"; readonly askedAt: Instant }
  | { readonly name: "running"; readonly lease: string; readonly askedAt: Instant }
  | {
      readonly name: "leading";
      readonly lease: string;
      readonly epoch: number;
      readonly revision: number;
      readonly until: Instant;
      readonly keepAt: Instant;
    }
  | { readonly name: "stopped" };

/** One replica's campaign. */
export class Campaign implements Machine<CampaignInput, CampaignEffect> {
  readonly #times: CampaignTimes;
  #state: State = { name: "following", lookAt: Number.NEGATIVE_INFINITY };
  /** Who has the place, as far as is known; undefined: not known yet. */
  #seen: { readonly lease: string | undefined; readonly revision: number } | undefined;
  #restsUntil: Instant = Number.NEGATIVE_INFINITY;

  constructor(times: CampaignTimes) {
    this.#times = times;
  }

  /** Whether the replica may decide and send at this instant; asked anew before each time it does. */
  leadsAt(now: Instant): boolean {
    return this.#state.name === "leading" && now < this.#state.until;
  }

  get deadline(): Instant {
    const state = this.#state;
    if (state.name === "leading") return Math.min(state.until, state.keepAt);
    if (state.name !== "following") return Number.POSITIVE_INFINITY;
    return this.#isFree ? Math.min(state.lookAt, this.#restsUntil) : state.lookAt;
  }

  step(now: Instant, input: CampaignInput, effects: CampaignEffect[]): void {
    if (this.#state.name === "stopped") {
      this.#clearAway(input, effects);
      return;
    }
    switch (input.kind) {
      case "wake":
        this.#wake(now, effects);
        break;
      case "leader-seen":
        this.#see(now, input, effects);
        break;
      case "lease-granted":
        this.#runWith(now, input.lease, effects);
        break;
      case "grant-failed":
        if (this.#state.name === "asking") this.#follow(now, this.#times.retryMs);
        break;
      case "elected":
        this.#takePlace(now, input, effects);
        break;
      case "not-elected":
        if (!this.#isOwn(input.lease)) return;
        effects.push({ kind: "revoke", lease: input.lease });
        this.#follow(now, this.#times.retryMs);
        break;
      case "kept":
        this.#keep(input.lease, input.askedAt);
        break;
      case "lease-lost":
        if (this.#isOwn(input.lease)) this.#stepDown(now, "lease-lost", effects);
        break;
      case "fenced":
        if (this.#state.name === "leading" && this.#state.epoch === input.epoch) {
          this.#stepDown(now, "fenced", effects);
        }
        break;
      case "resign-asked":
        this.#stepDown(now, "resigned", effects);
        break;
      case "stopped":
        this.#stepDown(now, "resigned", effects);
        this.#state = { name: "stopped" };
        break;
      default:
        throw input satisfies never;
    }
  }

  get #isFree(): boolean {
    return this.#seen !== undefined && this.#seen.lease === undefined;
  }

  #isOwn(lease: string): boolean {
    const state = this.#state;
    return (state.name === "leading" || state.name === "running") && state.lease === lease;
  }

  #wake(now: Instant, effects: CampaignEffect[]): void {
    const state = this.#state;
    if (state.name === "leading") {
      if (now >= state.until) this.#stepDown(now, "not-confirmed", effects);
      else if (now >= state.keepAt) this.#askToKeep(now, effects);
    } else if (state.name === "following") {
      if (now >= state.lookAt) {
        // A watch tells of changes; this is for one that has gone silent.
        this.#state = { name: "following", lookAt: now + this.#times.ttlMs };
        effects.push({ kind: "look" });
      }
      this.#askIfFree(now, effects);
    }
  }

  #see(
    now: Instant,
    { lease, revision }: Extract<CampaignInput, { kind: "leader-seen" }>,
    effects: CampaignEffect[],
  ): void {
    if (this.#seen !== undefined && revision < this.#seen.revision) return;
    this.#seen = { lease, revision };
    const state = this.#state;
    if (state.name === "following") this.#askIfFree(now, effects);
    const isNewer = state.name === "leading" && revision > state.revision;
    if (isNewer && lease !== state.lease) this.#stepDown(now, "replaced", effects);
  }

  #askIfFree(now: Instant, effects: CampaignEffect[]): void {
    if (!this.#isFree || now < this.#restsUntil) return;
    this.#state = { name: "asking", askedAt: now };
    effects.push({ kind: "grant" });
  }

  #runWith(now: Instant, lease: string, effects: CampaignEffect[]): void {
    const state = this.#state;
    if (state.name === "asking" && this.#isFree) {
      this.#state = { name: "running", lease, askedAt: state.askedAt };
      effects.push({ kind: "run", lease });
      return;
    }
    effects.push({ kind: "revoke", lease });
    if (state.name === "asking") this.#follow(now, 0);
  }

  #takePlace(
    now: Instant,
    { lease, epoch, revision }: Extract<CampaignInput, { kind: "elected" }>,
    effects: CampaignEffect[],
  ): void {
    const state = this.#state;
    if (state.name !== "running" || state.lease !== lease) return;
    const until = this.#heldUntil(state.askedAt);
    if (now >= until) {
      // The answer took as long as the lease: others may have the place by now.
      effects.push({ kind: "revoke", lease });
      this.#follow(now, this.#times.retryMs);
      return;
    }
    this.#state = { name: "leading", lease, epoch, revision, until, keepAt: now };
    effects.push({ kind: "lead", epoch, revision });
    this.#askToKeep(now, effects);
    // What was seen before the answer came may be newer than the election.
    const seen = this.#seen;
    if (seen !== undefined && seen.revision > revision && seen.lease !== lease) {
      this.#stepDown(now, "replaced", effects);
    }
  }

  #askToKeep(now: Instant, effects: CampaignEffect[]): void {
    const state = this.#state;
    if (state.name !== "leading") return;
    this.#state = { ...state, keepAt: now + this.#times.keepAliveMs };
    effects.push({ kind: "keep-alive", lease: state.lease, askedAt: now });
  }

  #keep(lease: string, askedAt: Instant): void {
    const state = this.#state;
    if (state.name !== "leading" || state.lease !== lease) return;
    this.#state = { ...state, until: Math.max(state.until, this.#heldUntil(askedAt)) };
  }

  #heldUntil(askedAt: Instant): Instant {
    return askedAt + this.#times.ttlMs - this.#times.marginMs;
  }

  /** Gives the place up, or the try for it. */
  #stepDown(now: Instant, reason: StepDownReason, effects: CampaignEffect[]): void {
    const state = this.#state;
    if (state.name !== "leading" && state.name !== "running") return;
    if (state.name === "leading") {
      effects.push({ kind: "step-down", epoch: state.epoch, reason });
    }
    effects.push({ kind: "revoke", lease: state.lease });
    const { restMs, retryMs } = this.#times;
    this.#follow(now, reason === "resigned" ? restMs : retryMs);
  }

  /** Looks at once, and asks for the place again after this time at the earliest. */
  #follow(now: Instant, restMs: number): void {
    this.#state = { name: "following", lookAt: now };
    this.#restsUntil = now + restMs;
  }

  #clearAway(input: CampaignInput, effects: CampaignEffect[]): void {
    const isHeld = input.kind === "lease-granted" || input.kind === "elected";
    if (isHeld) effects.push({ kind: "revoke", lease: input.lease });
  }
}
