// What one machine should come to for one service, from the assignment that is its own and from what
// it did before. A pure policy: it knows nothing of how far the machine has come.
import { type Candidate, isTarget } from "../rollout/targets.ts";
import type { Assignment, ServiceOrders } from "./agent-facts.ts";
import type { Journal } from "./agent-journal.ts";
import type { Runnable } from "./runnable.ts";

/** Stay as it is, or come to run `release` (undefined: nothing), with a permit or without. */
export type Goal =
  | { readonly kind: "stay" }
  | {
      readonly kind: "run";
      readonly release: Runnable | undefined;
      readonly needsPermit: boolean;
      readonly isRollback: boolean;
      readonly rollout: string;
    };

/** A goal to come to something. */
export type RunGoal = Extract<Goal, { kind: "run" }>;

/**
 * Tries to go back to the last good release before the machine stays where it is and says why. More
 * than one, as a busy machine may miss a check; few, as each takes a fixed port from what runs.
 */
const GO_BACK_TRIES_MAX = 3;

const STAY: Goal = { kind: "stay" };

/** The first assignment that is for this machine. */
export function ownAssignment(orders: ServiceOrders, candidate: Candidate): Assignment | undefined {
  return orders.assignments.find(({ targets }) => isTarget(candidate, targets));
}

/** What the machine should come to; a machine that no assignment is for stays as it is. */
export function goalOf(assignment: Assignment | undefined, journal: Journal): Goal {
  if (assignment === undefined) return STAY;
  const { phase, rollout, release, fallback } = assignment;
  switch (phase) {
    case "open":
    case "final":
      return {
        kind: "run",
        release,
        needsPermit: phase === "open",
        isRollback: false,
        rollout,
      };
    case "rollback": {
      const run = { kind: "run", needsPermit: false, rollout } as const;
      if (journal.switchedUnder === rollout) {
        return { ...run, release: journal.lastGood ?? fallback, isRollback: true };
      }
      // A machine that never ran the service catches up with what the others go back to.
      if (journal.current !== undefined || fallback === undefined) return STAY;
      return { ...run, release: fallback, isRollback: true };
    }
    case "frozen":
      return STAY;
    default:
      return phase satisfies never;
  }
}

/**
 * Whether it has failed often enough: an open rollout tries once, going back a few times, after which
 * another rollout is needed. Catching up with one that is over never ends.
 */
export function isGivenUp(goal: RunGoal, { outcome }: Journal): boolean {
  if (outcome?.kind !== "failed" || outcome.rollout !== goal.rollout) return false;
  if (outcome.release !== (goal.release?.release ?? "")) return false;
  return goal.needsPermit || (goal.isRollback && (outcome.tries ?? 1) >= GO_BACK_TRIES_MAX);
}
