// The states of a rollout as a table, and how long each may last. Nothing else decides either.
import type { RolloutPlan, RolloutState } from "./rollout-row.ts";

const NEXT = {
  waiting: ["replicating", "aborted", "failed"],
  replicating: ["activating", "rolling_back", "aborted", "failed"],
  activating: ["activating", "baking", "succeeded", "rolling_back", "aborted", "failed"],
  baking: ["activating", "succeeded", "rolling_back", "aborted", "failed"],
  rolling_back: ["rolled_back", "failed"],
  succeeded: [],
  rolled_back: [],
  aborted: [],
  failed: [],
} as const satisfies Record<RolloutState, readonly RolloutState[]>;

/** Behind others: each of them ends within hours, and nobody waits for a day on purpose. */
export const WAITING_MS_MAX = 24 * 3600_000;
/** 10 GB over 1 Gbit/s are 86 s; distribution gets ten minutes of the thirty. */
export const REPLICATING_MS_MAX = 600_000;
/** Machines switch back from local disk at once; those that must fetch have the time of a distribution. */
export const ROLLING_BACK_MS_MAX = 600_000;
/** Beyond its time to watch, a wave may take so long to show health again. */
export const BAKING_GRACE_MS = 600_000;
/** A round of permits beside the activation itself: two reports of a second each, sending, store. */
const ROUND_MS = 15_000;

/** Whether the state is final. */
export function isFinal(state: RolloutState): boolean {
  return NEXT[state].length === 0;
}

/** Whether a rollout may go from one state to the other. */
export function mayFollow(from: RolloutState, to: RolloutState): boolean {
  return (NEXT[from] as readonly RolloutState[]).includes(to);
}

/** How long a state may last, for a wave of `machines` of which `together` may be out at once. */
export function stateMsMax(
  state: RolloutState,
  plan: RolloutPlan,
  wave: { readonly index: number; readonly machines: number; readonly together: number },
): number {
  switch (state) {
    case "waiting":
      return WAITING_MS_MAX;
    case "replicating":
      return REPLICATING_MS_MAX;
    case "activating": {
      const rounds = Math.ceil(wave.machines / Math.max(1, wave.together));
      return REPLICATING_MS_MAX + rounds * (plan.answerMs + ROUND_MS);
    }
    case "baking":
      return (plan.waves[wave.index]?.bakeMs ?? 0) + BAKING_GRACE_MS;
    case "rolling_back":
      return ROLLING_BACK_MS_MAX;
    case "succeeded":
    case "rolled_back":
    case "aborted":
    case "failed":
      return Number.POSITIVE_INFINITY;
    default:
      return state satisfies never;
  }
}
