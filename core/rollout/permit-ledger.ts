// The permits that one relay has handed out for one rollout: who holds one, how each ended, and the
// counts per (epoch, wave). It decides nothing about who gets one; permit-desk.ts does.
import type { Instant } from "../machine.ts";

/**
 * `sent`: not begun as far as we know. `begun`: the machine switches or checks. `returned`: ran out
 * unused. `failed`: answered so, or never answered.
 */
export type PermitState = "sent" | "begun" | "succeeded" | "failed" | "returned";

/** What must survive a restart of the relay. */
export interface KeptPermit {
  readonly id: string;
  readonly agentId: string;
  readonly epoch: number;
  readonly wave: number;
  readonly ttlMs: number;
  readonly state: PermitState;
}

/** A permit in this process: when it must be begun, and when it must be answered. */
export interface Permit extends Omit<KeptPermit, "state"> {
  state: PermitState;
  readonly beginBy: Instant;
  readonly answerBy: Instant;
  /** It ended for want of an answer. */
  unanswered: boolean;
}

/** Permits of one (epoch, wave): granted = succeeded + failed + outstanding + returned. */
export interface PermitCounts {
  readonly granted: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly outstanding: number;
  readonly returned: number;
}

type Tally = { -readonly [Name in keyof PermitCounts]: number };

const NO_PERMITS: readonly Permit[] = [];
const NONE: PermitCounts = { granted: 0, succeeded: 0, failed: 0, outstanding: 0, returned: 0 };

/** The permits of one rollout at one relay. */
export class PermitLedger {
  /** The last permit of each agent. */
  readonly #last = new Map<string, Permit>();
  readonly #open = new Set<Permit>();
  readonly #counts = new Map<string, Tally>();
  #issued = 0;
  #soonest: Instant = Number.POSITIVE_INFINITY;

  /** Number of permits handed out so far; makes ids unique. */
  get issued(): number {
    return this.#issued;
  }

  /** When `expired` should be asked next. */
  get soonest(): Instant {
    return this.#soonest;
  }

  /** Last permit of an agent. */
  of(agentId: string): Permit | undefined {
    return this.#last.get(agentId);
  }

  /** Whether some permit has not ended. */
  get isAnyOpen(): boolean {
    return this.#open.size > 0;
  }

  /** Whether the agent holds a permit that has not ended. */
  holds(agentId: string): boolean {
    const permit = this.#last.get(agentId);
    return permit !== undefined && this.#open.has(permit);
  }

  counts(epoch: number, wave: number): PermitCounts {
    return this.#counts.get(`${epoch}/${wave}`) ?? NONE;
  }

  /** Highest epoch under which a permit of the wave was handed out; undefined: none was. */
  epochOf(wave: number): number | undefined {
    let highest: number | undefined;
    for (const key of this.#counts.keys()) {
      const [epoch, index] = key.split("/").map(Number) as [number, number];
      if (index === wave && epoch > (highest ?? -1)) highest = epoch;
    }
    return highest;
  }

  /** Enters a permit; one that was kept with an end counts as ended. */
  enter(permit: KeptPermit, beginBy: Instant, answerBy: Instant): Permit {
    const entered = { ...permit, beginBy, answerBy, unanswered: false };
    const tally = this.#tally(permit);
    this.#issued += 1;
    tally.granted += 1;
    this.#last.set(permit.agentId, entered);
    if (permit.state === "sent" || permit.state === "begun") {
      tally.outstanding += 1;
      this.#open.add(entered);
      this.#soonest = Math.min(this.#soonest, dueAt(entered));
    } else {
      tally[permit.state] += 1;
    }
    return entered;
  }

  /** Moves a permit on, also one that had ended too early as far as we knew. */
  move(permit: Permit, state: PermitState): void {
    const tally = this.#tally(permit);
    tally[slot(permit.state)] -= 1;
    tally[slot(state)] += 1;
    permit.state = state;
    if (slot(state) === "outstanding") {
      this.#open.add(permit);
      this.#soonest = Math.min(this.#soonest, dueAt(permit));
    } else {
      this.#open.delete(permit);
    }
  }

  /** Permits whose time has run out; they are still open. */
  expired(now: Instant): readonly Permit[] {
    if (now < this.#soonest) return NO_PERMITS;
    this.#soonest = Number.POSITIVE_INFINITY;
    const expired: Permit[] = [];
    for (const permit of this.#open) {
      if (dueAt(permit) <= now) expired.push(permit);
      else this.#soonest = Math.min(this.#soonest, dueAt(permit));
    }
    return expired;
  }

  #tally(permit: { readonly epoch: number; readonly wave: number }): Tally {
    const key = `${permit.epoch}/${permit.wave}`;
    const tally = this.#counts.get(key) ?? { ...NONE };
    this.#counts.set(key, tally);
    return tally;
  }
}

function dueAt(permit: Permit): Instant {
  return permit.state === "sent" ? permit.beginBy : permit.answerBy;
}

function slot(state: PermitState): "outstanding" | "succeeded" | "failed" | "returned" {
  return state === "sent" || state === "begun" ? "outstanding" : state;
}
