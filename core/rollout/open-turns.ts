// Which of the rollouts that are written down a leader runs: each is taken up once, an older one gives way to one that
// supersedes, and of each service the one whose turn it is is let in. Rows are read, and rollouts run, elsewhere.
import { isFinal } from "./lifecycle.ts";
import type { RolloutState } from "./rollout-row.ts";
import { type TurnTaker, timeName } from "./service-turns.ts";

/** What of a rollout's row decides about it. */
export interface OpenRow extends TurnTaker {
  readonly supersede: boolean;
  readonly row: { readonly state: RolloutState };
}

/** What follows from a row that was read. */
export type Opening =
  /** It is open already, has ended, or there is none. */
  | { readonly kind: "nothing" }
  /** It may be of before its end: read it again. */
  | { readonly kind: "read-again" }
  /** Run it, tell these that they are superseded, itself perhaps, and look whose turn it is. */
  | { readonly kind: "run"; readonly superseded: readonly string[] };

/** The open rollouts of one leader. */
export class OpenTurns {
  readonly #open = new Map<string, { readonly row: OpenRow; isWaiting: boolean }>();
  #ends = 0;

  /** Names this moment; take it before a row is read. */
  get moment(): number {
    return this.#ends;
  }

  /** Takes the row of a rollout that has its turn or waits, as it was read after that moment. */
  read(found: OpenRow | undefined, moment: number): Opening {
    if (found === undefined || this.#open.has(found.id)) return { kind: "nothing" };
    // One ended while the row was on its way: if it was this one, the row is of before.
    if (moment !== this.#ends) return { kind: "read-again" };
    if (isFinal(found.row.state)) return { kind: "nothing" };
    const others = [...this.#open.values()].map(({ row }) => row);
    this.#open.set(found.id, { row: found, isWaiting: found.row.state === "waiting" });
    const superseded = others.filter((other) => isSuperseded(other, found)).map(({ id }) => id);
    // Rows come in any order: the newer one may be here before.
    if (others.some((other) => isSuperseded(found, other))) superseded.push(found.id);
    return { kind: "run", superseded };
  }

  /** A rollout is written down as ended: look whose turn it is. */
  ended(id: string): void {
    if (this.#open.delete(id)) this.#ends += 1;
  }

  /** Whether the rollout that has its service's turn is to be let in now; true once of each, and only where it waits. */
  letIn(active: string | undefined): active is string {
    const own = active === undefined ? undefined : this.#open.get(active);
    if (own?.isWaiting !== true) return false;
    own.isWaiting = false;
    return true;
  }
}

function isSuperseded(older: OpenRow, newer: OpenRow): boolean {
  const isSame = older.service === newer.service;
  return newer.supersede && isSame && timeName(older) < timeName(newer);
}
