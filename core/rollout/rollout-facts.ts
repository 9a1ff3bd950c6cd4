// The words of the rollout machine: what it is told, and what it commands. Effects that follow a
// `persist` in a step are performed only when it is committed.
import type { CensusCount } from "./census.ts";
import type { RolloutRow, RolloutState } from "./rollout-row.ts";
import type { Tally } from "./tally.ts";

export type RolloutInput =
  /** This leader has taken it over; the relays are known but need not be connected yet. */
  | { readonly kind: "started"; readonly relays: readonly string[] }
  /** The rollout before it has ended. */
  | { readonly kind: "turn-came" }
  | {
      readonly kind: "relay-joined";
      readonly relay: string;
      readonly region: string;
      readonly boot: string;
      /** It was started again, and its machines may be on their way back for so long; 0: it has them. */
      readonly settleMs: number;
    }
  | { readonly kind: "relay-lost"; readonly relay: string }
  | { readonly kind: "relay-reported"; readonly relay: string; readonly tally: Tally }
  /** Regions that do not hold every pack yet; none: all do. */
  | { readonly kind: "replicated"; readonly missing: readonly string[] }
  | {
      readonly kind: "census-answered";
      readonly relay: string;
      readonly query: number;
      readonly count: CensusCount;
    }
  /** The assignment of this number is committed and on its way, with this store revision. */
  | { readonly kind: "assigned"; readonly serial: number; readonly revision: number }
  | { readonly kind: "paused" }
  | { readonly kind: "resumed" }
  | { readonly kind: "aborted" }
  | { readonly kind: "superseded" }
  | { readonly kind: "rolled-back-by-hand" }
  | { readonly kind: "wake" };

/**
 * What becomes of the service's assignment. `withdrawn`: nobody switched, what was before holds again.
 * `restored`: all are back, and what was before is what should run.
 */
export type AssignPhase = "open" | "final" | "rollback" | "frozen" | "withdrawn" | "restored";

export type RolloutEffect =
  | { readonly kind: "persist"; readonly row: RolloutRow }
  | { readonly kind: "assign"; readonly phase: AssignPhase; readonly serial: number }
  | {
      readonly kind: "grant";
      readonly relay: string;
      readonly wave: number;
      readonly quota: number;
      readonly together: number;
      readonly ttlMs: number;
    }
  | {
      readonly kind: "census";
      readonly relays: readonly string[];
      readonly query: number;
      readonly wave: number;
      readonly low: number;
      readonly high: number;
    }
  | { readonly kind: "ended"; readonly state: RolloutState };
