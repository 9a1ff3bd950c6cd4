// What a simulated fleet bore, as people read it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { peakWords } from "../../../core/estimate/peak-words.ts";

test("peak load says who bore it, in units, one and many", () => {
  const peak = {
    ...{ origin_bytes_per_s: 12e9, relay_sessions: 10_000, relay_roster_messages_per_s: 29 },
    ...{ relay_members_told_per_s: 10_000, leader_facts_per_s: 114, leader_writes_per_s: 1 },
    ...{ open_rollouts: 1, queued_builds: 2 },
  };
  const words = peakWords(peak, (bytes) => `${bytes / 1e9} GB`);
  assert.deepEqual(words, [
    ["origin", "gives 12 GB/s"],
    [
      "a relay",
      "10,000 sessions; tells siblings of 10,000 members of swarms in 29 messages a second",
    ],
    ["leader", "114 facts and 1 write a second; 1 rollout open"],
    ["queue", "2 builds"],
  ]);
});
