// How a service stands still whose newest orders the store has forgotten: its machines stay as they are until one of its
// rollouts succeeds, because what the store says would take all of them back at once. Open rollouts are paused.
import { type AssignmentRule, settledEntry } from "./assignment-rules.ts";
import { isFinal } from "./lifecycle.ts";
import type { RolloutRow } from "./rollout-row.ts";

/** The service's rules, under which no machine changes, also where a rollout of it comes to nothing. */
export function keptRules<Release>(
  rules: readonly AssignmentRule<Release>[],
): readonly AssignmentRule<Release>[] {
  return rules.map((entry, index) => {
    const settled = settledEntry(entry, index);
    // It is still what machines under this rule could go back to, and no longer what they go to by themselves.
    const before = settled && { ...settled, entry: { ...settled.entry, phase: "frozen" as const } };
    if (entry.phase === "open") return { ...entry, paused: true, before };
    return { ...entry, phase: entry.phase === "final" ? "frozen" : entry.phase, before };
  });
}

/** The row of its open rollout. Going back is not stopped, as at any other time. */
export function keptRow<Row extends Pick<RolloutRow, "state" | "paused">>(row: Row): Row {
  const isPausable = !isFinal(row.state) && row.state !== "rolling_back";
  return { ...row, paused: row.paused || isPausable };
}
