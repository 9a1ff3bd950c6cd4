// Whether a wave may go on: over the budget, healthy, or not known yet. Silence is never health.
import { failureBudget, outMax, sampleNeeded } from "./bounds.ts";
import type { PermitCount, Room } from "./permits.ts";
import type { RolloutPlan, WaveRow } from "./rollout-row.ts";
import type { Totals } from "./tally.ts";

export interface GateFacts {
  readonly plan: RolloutPlan;
  readonly percent: number;
  readonly wave: WaveRow;
  /** Machines that were to be permitted when the wave began. */
  readonly planned: number;
  readonly permits: PermitCount;
  readonly totals: Totals;
  /** Failed in the waves before, and borne there. */
  readonly failedBefore: number;
}

export interface Gate {
  readonly verdict: "over" | "wait" | "pass";
  /** Why it is over, or what it waits for, for people. */
  readonly why: string;
  /** What may be granted now. */
  readonly room: Room;
  /** Members that can still get it have it, or have failed. */
  readonly isServed: boolean;
  readonly failed: number;
}

/** Judges a wave by what is known now. */
export function judge(facts: GateFacts): Gate {
  const { plan, percent, wave, planned, permits, totals } = facts;
  const failed = Math.max(permits.failed, totals.broken - facts.failedBefore);
  const permitted = permits.succeeded + failed + permits.out;
  const together = outMax(plan, planned, wave.matching);
  // Everybody's wave takes whoever comes late; another one never grows beyond its size.
  const capLeft = percent >= 100 ? Number.POSITIVE_INFINITY : Math.max(0, planned - permitted);
  const room = { slots: Math.max(0, together - permits.held - failed), machines: capLeft };
  const isServed = permits.out === 0 && (capLeft === 0 || totals.unserved === 0);
  const answer = (verdict: Gate["verdict"], why = ""): Gate => ({
    verdict,
    why,
    room,
    isServed,
    failed,
  });

  if (failed > failureBudget(plan, planned)) {
    return answer("over", `${failed} of ${permitted} permitted machines failed`);
  }
  if (failed >= together && capLeft > 0 && totals.unserved > 0) {
    return answer("over", `${failed} machines failed and others still wait for a permit`);
  }
  if (permits.out > 0) return answer("wait", `permits that are not answered: ${permits.out}`);
  if (failed > 0 && permits.succeeded === 0 && isServed) {
    return answer("over", `none of ${permitted} permitted machines became healthy`);
  }
  const reported = permits.succeeded + failed;
  // Members that went offline without a permit cannot report; a sample asked for is never lowered.
  const reachable = plan.sampleMin > 0 ? planned : Math.min(planned, reported + totals.unserved);
  const needed = Math.max(Math.min(1, planned), sampleNeeded(plan, reachable));
  if (reported < needed) return answer("wait", `${reported} of ${needed} answers have come`);
  // Who answered healthy and is silent now is not healthy.
  const since = Math.max(0, totals.active - wave.activeBefore);
  const silent = Math.max(0, permits.succeeded - since);
  if (failed + silent > failureBudget(plan, permitted)) {
    return answer("wait", `machines that became healthy and are not known to be now: ${silent}`);
  }
  return answer("pass");
}
