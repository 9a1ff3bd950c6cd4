// What a replica tells of leadership to those who measure.
import { gauge } from "../../runtime/telemetry.ts";
import type { Candidate } from "./candidate.ts";

/** Measures from now on. */
export function measureLeadership(candidate: Pick<Candidate, "leader" | "replica">): void {
  const leads = (): number => (candidate.leader?.replica === candidate.replica ? 1 : 0);
  gauge("millrace.leader", "1 where this replica leads", leads);
  const isBehind = (): number => (candidate.leader?.behind === undefined ? 0 : 1);
  gauge("millrace.store.behind", "1 where relays have seen what the store has lost", isBehind);
}
