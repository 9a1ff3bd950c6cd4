// The arithmetic of a wave: how many machines, how many may fail, how many may be out at once.
import type { RolloutPlan } from "./rollout-row.ts";

/** Machines that may be out at once unless the policy says otherwise, percent of the matching. */
const MAX_UNAVAILABLE_PERCENT = 10;
/** Machines whose answers a gate waits for unless the policy says otherwise. */
const SAMPLE_MIN = 10;
/** Shares are decimal in recipes and binary here: 0.1 % of 3000 must not become 4. */
const ROUNDING = 1e-9;

/** Smallest whole number that is at least the share of the count. */
export function shareCeil(percent: number, count: number): number {
  return Math.ceil((percent * count) / 100 - ROUNDING);
}

/** Largest whole number that is at most the share of the count. */
export function shareFloor(percent: number, count: number): number {
  return Math.floor((percent * count) / 100 + ROUNDING);
}

/** Machines in a wave of so many that pass its filter: max(1, ceil(percent x them)). */
export function waveSize(percent: number, passing: number): number {
  return Math.min(passing, Math.max(1, shareCeil(percent, passing)));
}

/** Failures that a wave of so many permitted machines bears. */
export function failureBudget(plan: RolloutPlan, permitted: number): number {
  return shareCeil(plan.failuresPercent, permitted);
}

/**
 * Machines activating plus machines failed in a wave never exceed this; at least 1, or nothing would move. Of `planned`
 * those beyond `matching` count nothing: they came later, or are such as two relays count for a moment.
 */
export function outMax(plan: RolloutPlan, planned: number, matching: number): number {
  const percent = plan.maxUnavailablePercent || MAX_UNAVAILABLE_PERCENT;
  const unavailable = Math.max(1, shareFloor(percent, matching));
  const failures = failureBudget(plan, Math.min(planned, matching));
  return Math.max(1, Math.min(unavailable, failures));
}

/** Answers a gate needs: never more than the wave can give. */
export function sampleNeeded(plan: RolloutPlan, machines: number): number {
  return Math.min(plan.sampleMin || SAMPLE_MIN, machines);
}
