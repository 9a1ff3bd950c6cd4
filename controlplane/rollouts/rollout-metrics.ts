// What an operator watches of open rollouts: in which state they are, and how many machines fail. It only
// looks; how rollouts end the engine counts.
import { gauge } from "../../runtime/telemetry.ts";
import type { OpenRollout } from "./open-rollout.ts";
import type { RolloutEngine } from "./rollout-engine.ts";

/** Begins to measure what this replica leads; nothing where `leads` gives none. */
export function measureRollouts(leads: () => RolloutEngine | undefined): void {
  const all = (): readonly OpenRollout[] => leads()?.all ?? [];
  const byState = (): [number, Record<string, string>][] =>
    counted(all().map(({ record }) => (record.row.paused ? "paused" : record.row.state)));
  gauge("millrace.rollouts.open", "Rollouts that have not ended, by state", byState, "{rollout}");
  const failing = (): number =>
    all().reduce((sum, { progress }) => sum + progress.failing().length, 0);
  gauge("millrace.rollouts.failing", "Machines that fail open rollouts", failing, "{machine}");
}

function counted(names: readonly string[]): [number, Record<string, string>][] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([state, count]) => [count, { state }]);
}
