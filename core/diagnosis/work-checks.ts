// What is wrong with builds and rollouts.
import type { ClusterFacts, QueueFacts, RolloutFacts } from "./facts.ts";
import type { Finding } from "./finding.ts";

/** A build waits for half of its 20 min at most. */
const QUEUED_WARNING_MS = 120_000;
const QUEUED_ERROR_MS = 300_000;
/** A rollout that replicates fails after 10 min; one that activates moves with each machine. */
const ROLLOUT_STUCK_MS = 600_000;
/** A rollout is paused to be looked at, not to be forgotten. */
const PAUSED_MS = 24 * 3_600_000;
/** From so many machines on, one at a time is hardly what was meant: at 10 s each they take 17 min. */
export const BIG_FLEET_MACHINES = 100;

/** Of the queue and the open rollouts. */
export function workChecks({ queue, rollouts, store }: ClusterFacts): Finding[] {
  return [...queueChecks(queue, store.isShared), ...rollouts.flatMap(rolloutChecks)];
}

/** What the default of no failures means on a big fleet; undefined: it is small, or failures are allowed. */
export function oneAtATime(failuresPercent: number, matching: number): string | undefined {
  if (failuresPercent > 0 || matching < BIG_FLEET_MACHINES) return undefined;
  return (
    `failures: 0% lets one of ${matching} machines at a time be out, and the first that fails ends it; ` +
    "allow some, as failures: 1% in the recipe's rollout"
  );
}

function queueChecks(
  { queued, oldestMs, leased, workers }: QueueFacts,
  isShared: boolean,
): Finding[] {
  // Of a shared store's other replicas it is not known which workers they have.
  const mayBeElsewhere = isShared && (leased > 0 || oldestMs < QUEUED_WARNING_MS);
  if (workers === 0 && leased === 0 && !mayBeElsewhere) {
    return [
      {
        check: "no-workers",
        severity: "error",
        where: "queue",
        what: `no worker is connected, ${queued} builds wait`,
        advice: "start workers: millrace worker",
      },
    ];
  }
  if (oldestMs < QUEUED_WARNING_MS) return [];
  return [
    {
      check: "queue-stuck",
      severity: leased === 0 || oldestMs >= QUEUED_ERROR_MS ? "error" : "warning",
      where: "queue",
      what: `${queued} builds wait, the oldest for ${Math.round(oldestMs / 1_000)} s; ${leased} are at workers`,
      advice: leased === 0 ? "see the workers' logs" : "start more workers",
    },
  ];
}

function rolloutChecks(facts: RolloutFacts): Finding[] {
  const { id, service, state, isPaused, unchangedMs, failuresPercent, matching } = facts;
  const where = `rollout ${id} of ${service}`;
  const findings: Finding[] = [];
  const isStuck = unchangedMs > (isPaused ? PAUSED_MS : ROLLOUT_STUCK_MS);
  if (isStuck && state !== "waiting") {
    const minutes = Math.round(unchangedMs / 60_000);
    findings.push({
      check: "rollout-stuck",
      severity: isPaused ? "warning" : "error",
      where,
      what: `${isPaused ? "paused" : state.replace("_", " ")} for ${minutes} min without a change`,
      advice: `see millrace rollouts ${id}; resume it, abort it, or go back`,
    });
  }
  const slow = oneAtATime(failuresPercent, matching);
  if (slow !== undefined) {
    const [what, advice] = slow.split("; ") as [string, string];
    findings.push({ check: "no-failures-allowed", severity: "warning", where, what, advice });
  }
  return findings;
}
