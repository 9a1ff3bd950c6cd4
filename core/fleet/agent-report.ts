// How a service is reported: one phase, from the journal and from what is under way. The relay counts
// by these, so each phase here is what `fleet.proto` says it means.
import type { Assignment, ServicePhase, ServiceReport } from "./agent-facts.ts";
import type { Goal } from "./agent-goal.ts";
import type { Journal } from "./agent-journal.ts";
import type { Step } from "./agent-switch.ts";

export interface Standing {
  readonly journal: Journal;
  readonly assignment: Assignment | undefined;
  readonly goal: Goal;
  /** The step under way of a switch. */
  readonly step: Step | undefined;
  /** What is done to have the goal's release whole on disk; undefined: nothing. */
  readonly staging: "fetch" | "stage" | undefined;
  readonly isStaged: boolean;
  readonly stagingError: string;
  readonly healthy: boolean;
  /** What `current`'s process died of last, while it is down. */
  readonly downError: string;
}

/** The report that fits. */
export function reportOf(standing: Standing): ServiceReport {
  const { journal, assignment, goal } = standing;
  const { switching, outcome, current } = journal;
  const rollout = switching?.rollout ?? assignment?.rollout ?? outcome?.rollout ?? "";
  const mine = outcome?.rollout === rollout ? outcome : undefined;
  const isFailed = mine?.kind === "failed";
  const wanted = goal.kind === "run" ? goal.release : current;
  const towards = switching?.to ?? (isFailed ? { release: mine.release } : wanted);
  return {
    rollout,
    release: towards?.release ?? "",
    running: current?.release ?? "",
    lastGood: journal.lastGood?.release ?? "",
    phase: phaseOf(standing, mine?.kind),
    permit: switching?.permit ?? mine?.permit ?? "",
    error: switching?.error ?? (standing.stagingError || mine?.error || standing.downError),
    healthy: standing.healthy,
    epoch: journal.epoch,
  };
}

function phaseOf(standing: Standing, outcome: string | undefined): ServicePhase {
  const { journal, goal, step, staging } = standing;
  const { switching, current } = journal;
  if (switching !== undefined) {
    if (switching.direction === "undo" || switching.isRollback) return "reverting";
    return step?.do === "check" ? "checking" : "activating";
  }
  const isReached = goal.kind === "stay" || goal.release?.release === journal.current?.release;
  if (!isReached) {
    if (outcome === "failed") return "failed";
    if (staging !== undefined) return staging === "fetch" ? "fetching" : "staging";
    if (standing.isStaged) return "staged";
    return standing.stagingError === "" ? idle(current !== undefined) : "fetching";
  }
  if (outcome === "failed" || outcome === "reverted") return outcome;
  return idle(current !== undefined);
}

const idle = (runs: boolean): ServicePhase => (runs ? "active" : "stopped");

/** Whether there is nothing new in it. */
export function sameReport(a: ServiceReport, b: ServiceReport): boolean {
  return (Object.keys(a) as (keyof ServiceReport)[]).every((key) => a[key] === b[key]);
}
