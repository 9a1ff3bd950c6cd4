// What a simulated fleet bore in its busiest second, in words for people: the command and the page say the same.
import type { PeakLoad } from "./simulation-run.ts";

/** Rows of who bore it and what it was; `bytesWords` writes an amount of bytes. */
export function peakWords(
  peak: PeakLoad,
  bytesWords: (bytes: number) => string,
): readonly (readonly [who: string, what: string])[] {
  const members = counted(peak.relay_members_told_per_s, "member");
  const messages = counted(peak.relay_roster_messages_per_s, "message");
  return [
    ["origin", `gives ${bytesWords(peak.origin_bytes_per_s)}/s`],
    [
      "a relay",
      `${counted(peak.relay_sessions, "session")}; tells siblings of ${members} of swarms in ${messages} a second`,
    ],
    [
      "leader",
      `${counted(peak.leader_facts_per_s, "fact")} and ${counted(peak.leader_writes_per_s, "write")} a second; ${counted(peak.open_rollouts, "rollout")} open`,
    ],
    ["queue", counted(peak.queued_builds, "build")],
  ];
}

/** "1 build", "10,000 sessions". */
function counted(count: number, what: string): string {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}
