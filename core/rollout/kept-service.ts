// How a service stands still whose newest orders the store has forgotten: its machines stay as they are until its next
// rollout, because what the store says would take all of them back at once. Open rollouts are paused.
import type { AssignmentRule } from "./assignment-rules.ts";
import { isFinal } from "./lifecycle.ts";
import type { RolloutRow } from "./rollout-row.ts";

/** The service's rules, under which no machine changes. */
export function keptRules<Release>(
  rules: readonly AssignmentRule<Release>[],
): readonly AssignmentRule<Release>[] {
  return rules.map((entry, index) => {
    if (entry.phase === "open") return { ...entry, paused: true };
    // It is still what the machines under this rule could go back to.
    if (entry.phase === "final") return { ...entry, phase: "frozen", before: { entry, index } };
    return entry;
  });
}

/** The row of its open rollout. Going back is not stopped, as at any other time. */
export function keptRow<Row extends Pick<RolloutRow, "state" | "paused">>(row: Row): Row {
  const isPausable = !isFinal(row.state) && row.state !== "rolling_back";
  return { ...row, paused: row.paused || isPausable };
}
