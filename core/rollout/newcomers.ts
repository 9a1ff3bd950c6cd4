// Machines that came to this relay from another of the region, which may not have noticed yet that they are gone:
// a connection can die without a word. Both count them then, so that they are claimed from the other one, and
// count as on their way until it has let go of them, or must have noticed by itself. Who lets go of whom is decided
// in `relay-desks.ts`.
import type { SessionOrder } from "../fleet/session-order.ts";
import type { Instant } from "../machine.ts";

/** A relay notices that a connection is dead when a ping after 10 s had no answer for another 10 s. */
const NOTICED_MS = 20_000;
/** Who is on the way no more is looked for so often at most: 10,000 that come one by one are not looked at 10,000 times. */
const LOOK_MS = 1_000;

/** A machine that is a relay's own, by its latest session. */
export interface Claim {
  readonly agentId: string;
  readonly session: SessionOrder;
}

export type MoveInput =
  /** The other relays of the region that are connected to the leader. */
  | { readonly kind: "siblings"; readonly relays: readonly string[] }
  /** Words reach that relay from now on. */
  | { readonly kind: "linked"; readonly relay: string }
  /** A machine is with that relay, which says so. */
  | { readonly kind: "claimed"; readonly relay: string; readonly claim: Claim }
  /** That relay has let go of a machine which was claimed from it. */
  | { readonly kind: "ceded"; readonly relay: string; readonly claim: Claim };

/** What one relay tells another. */
export type MoveTold =
  /** Tell that relay that a machine is here now, in this session; once more where words reach it only later. */
  | { readonly kind: "claim"; readonly relay: string; readonly claim: Claim }
  /** Tell that relay that a machine which it claimed is counted here no more. */
  | { readonly kind: "cede"; readonly relay: string; readonly claim: Claim };

export type MoveEffect =
  | MoveTold
  /** The machine is with another relay: end what is left of its session here. */
  | { readonly kind: "let"; readonly agentId: string };

/** Whom to tell that a machine is here. */
type ClaimEffect = Extract<MoveTold, { kind: "claim" }>;

interface Newcomer {
  readonly claim: Claim;
  /** The relay that it was with before. */
  readonly from: string;
  /** By then that one counts it no more. */
  until: Instant;
  isCeded: boolean;
}

export class Newcomers {
  readonly #all = new Map<string, Newcomer>();
  /** Those of them that count as on their way. */
  readonly #moving = new Set<string>();
  #siblings: ReadonlySet<string> = new Set();
  /** When to `look` again. */
  deadline: Instant = Number.POSITIVE_INFINITY;

  /** Whether another relay may count it, too; said of machines that have gone on as well. */
  isMoving(agentId: string): boolean {
    return this.#moving.has(agentId);
  }

  /** A machine has come from that relay; returns what to tell. */
  came(now: Instant, claim: Claim, from: string): readonly ClaimEffect[] {
    const newcomer = { claim, from, until: now + NOTICED_MS, isCeded: false };
    this.#all.set(claim.agentId, newcomer);
    if (this.#siblings.has(from)) this.#moving.add(claim.agentId);
    else this.#moving.delete(claim.agentId);
    this.deadline = Math.min(this.deadline, newcomer.until);
    return this.#claims([newcomer]);
  }

  /** It is connected anew, and was here before; returns what to tell. */
  cameAgain(now: Instant, claim: Claim): readonly ClaimEffect[] {
    const known = this.#all.get(claim.agentId);
    return known === undefined || known.isCeded ? [] : this.came(now, claim, known.from);
  }

  /** The other relays of the region that the leader counts now. */
  siblings(relays: readonly string[]): void {
    this.#siblings = new Set(relays);
  }

  /** Words reach a relay from now on; what was claimed from it before may not have come, and is told again. */
  linked(relay: string): readonly ClaimEffect[] {
    return this.#claims([...this.#all.values()].filter(({ from }) => from === relay));
  }

  /** A relay has let go of a machine: for so long it may still be in what it counted before. */
  ceded(now: Instant, relay: string, { agentId, session }: Claim, staleMs: number): void {
    const newcomer = this.#all.get(agentId);
    if (newcomer === undefined || newcomer.from !== relay || newcomer.isCeded) return;
    const { boot, connect } = newcomer.claim.session;
    if (session.boot !== boot || session.connect !== connect) return;
    newcomer.isCeded = true;
    newcomer.until = Math.min(newcomer.until, now + staleMs);
    this.deadline = Math.min(this.deadline, newcomer.until);
  }

  /** Looks who is on the way now; returns those of whom that has changed. */
  look(now: Instant): readonly string[] {
    const changed: string[] = [];
    let earliest = Number.POSITIVE_INFINITY;
    for (const [agentId, { from, until }] of this.#all) {
      const isOver = until <= now;
      // Who is not counted counts nobody; it may be back before it has noticed.
      const isMoving = !isOver && this.#siblings.has(from);
      if (isOver) this.#all.delete(agentId);
      else earliest = Math.min(earliest, until);
      if (isMoving === this.#moving.has(agentId)) continue;
      if (isMoving) this.#moving.add(agentId);
      else this.#moving.delete(agentId);
      changed.push(agentId);
    }
    this.deadline = Math.max(earliest, now + LOOK_MS);
    return changed;
  }

  #claims(newcomers: readonly Newcomer[]): readonly ClaimEffect[] {
    return newcomers
      .filter(({ from, isCeded }) => !isCeded && this.#siblings.has(from))
      .map(({ claim, from: relay }) => ({ kind: "claim", relay, claim }));
  }
}
