// Each check by a case of its own: a cluster that is well, with one thing planted, gives that finding and no other.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  clockChecks,
  noLeader,
  unreachable,
  versionChecks,
} from "../../../core/diagnosis/caller-checks.ts";
import { diagnose, storeBehind } from "../../../core/diagnosis/diagnose.ts";
import type { ClusterFacts, RegionFacts, RelayFacts } from "../../../core/diagnosis/facts.ts";
import { CHECKS, type Finding } from "../../../core/diagnosis/finding.ts";
import { RecentPeak } from "../../../core/diagnosis/recent-peak.ts";
import { oneAtATime } from "../../../core/diagnosis/work-checks.ts";

const MINUTE_MS = 60_000;

const RELAY: RelayFacts = {
  relay: "r-1",
  isOnline: true,
  silentMs: 1_900,
  version: "0.2.0",
  clockAheadMs: 40,
  agents: 500,
  capacity: 20_000,
};
const REGION: RegionFacts = {
  region: "eu",
  relays: [RELAY, { ...RELAY, relay: "r-2" }],
  agents: 1_000,
  agentsPeak: 1_010,
  failing: 3,
  missing: [{ pack: "b-1.1", forMs: MINUTE_MS, error: "" }],
};
const MEMBER = { address: "e1:2379", trouble: undefined, databaseBytes: 64e6 };
const WELL: ClusterFacts = {
  version: "0.2.0",
  store: {
    isShared: true,
    writeMs: 12,
    trouble: "",
    members: [MEMBER, { ...MEMBER, address: "e2:2379" }, { ...MEMBER, address: "e3:2379" }],
    alarms: [],
  },
  originTrouble: undefined,
  disks: [{ owner: "relay r-1", bytes: 100e9, freeBytes: 50e9 }],
  regions: [REGION],
  queue: { queued: 3, oldestMs: MINUTE_MS, leased: 50, workers: 34 },
  rollouts: [
    {
      id: "r-0123456789abcdef",
      service: "web",
      state: "activating",
      isPaused: false,
      unchangedMs: MINUTE_MS,
      failuresPercent: 1,
      matching: 1_000,
    },
  ],
};

/** The cluster with changes of one of its parts. */
const store = (changes: Partial<ClusterFacts["store"]>): ClusterFacts => ({
  ...WELL,
  store: { ...WELL.store, ...changes },
});
const region = (changes: Partial<RegionFacts>): ClusterFacts => ({
  ...WELL,
  regions: [{ ...REGION, ...changes }],
});
const relay = (changes: Partial<RelayFacts>): ClusterFacts =>
  region({ relays: [{ ...RELAY, ...changes }, ...REGION.relays] });
const queue = (changes: Partial<ClusterFacts["queue"]>): ClusterFacts => ({
  ...WELL,
  queue: { ...WELL.queue, ...changes },
});
const rollout = (changes: Partial<ClusterFacts["rollouts"][number]>): ClusterFacts => ({
  ...WELL,
  rollouts: WELL.rollouts.map((one) => ({ ...one, ...changes })),
});
const member = (changes: Partial<typeof MEMBER> | { readonly trouble: string }): ClusterFacts =>
  store({ members: [...WELL.store.members.slice(0, 2), { ...MEMBER, ...changes }] });
const disk = (freeBytes: number): ClusterFacts => ({
  ...WELL,
  disks: [{ owner: "relay r-1", bytes: 100e9, freeBytes }],
});

/** What is planted, and what is found: "severity check, where: what". */
const CASES: readonly (readonly [string, ClusterFacts, ...string[]])[] = [
  ["nothing", WELL],
  ["a slow store", store({ writeMs: 251 }), "warning store-slow"],
  ["a very slow store", store({ writeMs: 1_500 }), "error store-slow"],
  ["a store that is away", store({ writeMs: undefined, trouble: "gone" }), "error store-away"],
  ["one member of three down", member({ trouble: "refused" }), "warning etcd-member"],
  [
    "two members of three down",
    store({
      members: WELL.store.members.map((one, n) => (n > 0 ? { ...one, trouble: "refused" } : one)),
    }),
    "error etcd-member",
    "error etcd-member",
  ],
  ["an alarm", store({ alarms: ["NOSPACE"] }), "error etcd-alarm"],
  ["a big database", member({ databaseBytes: 1.4e9 }), "warning etcd-space"],
  ["a full database", member({ databaseBytes: 2e9 }), "error etcd-space"],
  ["an origin that refuses", { ...WELL, originTrouble: "it cannot be written" }, "error origin"],
  ["a disk of which a tenth is free", disk(10e9)],
  ["a disk with less than a release", disk(9e9), "warning disk-full"],
  ["a full disk", disk(0.9e9), "error disk-full"],
  ["no relays", region({ relays: [], agents: 0, agentsPeak: 0 }), "error few-relays"],
  ["one relay", region({ relays: [RELAY] }), "warning few-relays"],
  [
    "one relay of one control plane alone",
    { ...region({ relays: [RELAY] }), store: { ...WELL.store, isShared: false, members: [] } },
  ],
  ["a relay away", relay({ isOnline: false, silentMs: undefined }), "warning relay-silent"],
  ["a silent relay", relay({ silentMs: 10_001 }), "error relay-silent"],
  ["a relay that is nearly full", relay({ capacity: 550 }), "warning relay-full"],
  ["a full relay", relay({ capacity: 500 }), "error relay-full"],
  ["a relay of the release before", relay({ version: "0.1.7" }), "warning version-skew"],
  ["a relay that is older", relay({ version: "0.0.9" }), "error version-skew"],
  ["a relay of another major version", relay({ version: "1.2.0" }), "error version-skew"],
  ["a relay whose clock is slow", relay({ clockAheadMs: -6_000 }), "warning clock-skew"],
  ["a relay that lives in another year", relay({ clockAheadMs: 3e10 }), "error clock-skew"],
  [
    "a store of a region that refuses",
    region({ missing: [{ pack: "b-1.1", forMs: 10, error: "denied" }] }),
    "error region-store",
  ],
  [
    "a region that lags",
    region({ missing: [{ pack: "b-1.1", forMs: 4 * MINUTE_MS, error: "" }] }),
    "warning region-lags",
  ],
  [
    "a region that gets nothing",
    region({ missing: [{ pack: "b-1.1", forMs: 11 * MINUTE_MS, error: "" }] }),
    "error region-lags",
  ],
  ["a few failing machines", region({ failing: 10 }), "warning agents-failing"],
  ["many failing machines", region({ failing: 100 }), "error agents-failing"],
  ["machines that nobody can tell of", region({ failing: undefined }), "warning relay-silent"],
  ["machines that went away", region({ agents: 940 }), "warning agents-away"],
  ["half of a region away", region({ agents: 500 }), "error agents-away"],
  ["no workers", queue({ workers: 0, leased: 0, oldestMs: 2 * MINUTE_MS }), "error no-workers"],
  ["workers at another replica", queue({ workers: 0, leased: 0 })],
  ["a long queue", queue({ oldestMs: 2 * MINUTE_MS }), "warning queue-stuck"],
  [
    "a queue that nobody takes from",
    queue({ oldestMs: 2 * MINUTE_MS, leased: 0 }),
    "error queue-stuck",
  ],
  ["a very long queue", queue({ oldestMs: 5 * MINUTE_MS }), "error queue-stuck"],
  ["a stuck rollout", rollout({ unchangedMs: 11 * MINUTE_MS }), "error rollout-stuck"],
  ["a rollout behind another", rollout({ unchangedMs: 11 * MINUTE_MS, state: "waiting" })],
  ["a paused rollout", rollout({ isPaused: true, unchangedMs: 11 * MINUTE_MS })],
  [
    "a forgotten one",
    rollout({ isPaused: true, unchangedMs: 25 * 60 * MINUTE_MS }),
    "warning rollout-stuck",
  ],
  ["no failures allowed", rollout({ failuresPercent: 0 }), "warning no-failures-allowed"],
  ["no failures allowed of a few", rollout({ failuresPercent: 0, matching: 99 })],
];

for (const [planted, facts, ...expected] of CASES) {
  test(`finds ${planted}`, () => {
    const found = diagnose(facts);
    assert.deepEqual(
      found.map(({ severity, check }) => `${severity} ${check}`),
      expected,
    );
    for (const finding of found) assertSays(finding);
  });
}

function assertSays({ where, what, advice }: Finding): void {
  for (const text of [where, what, advice]) {
    assert.ok(text.length > 3 && !text.includes("\n") && !text.includes("undefined"), text);
  }
}

test("each check finds something in some case", () => {
  const byCaller = [
    unreachable("a:1", "refused"),
    noLeader("a:1"),
    storeBehind("epoch 3"),
    ...versionChecks("this command", "x", "0.2.0"),
    ...clockChecks("this command", 10_000),
  ];
  for (const finding of byCaller) assertSays(finding);
  const found = new Set(
    [...CASES.flatMap(([, facts]) => diagnose(facts)), ...byCaller].map(({ check }) => check),
  );
  assert.deepEqual(
    CHECKS.filter((check) => !found.has(check)),
    [],
  );
});

test("errors come first", () => {
  const facts = {
    ...relay({ isOnline: false, silentMs: undefined }),
    originTrouble: "it cannot be read",
  };
  assert.deepEqual(
    diagnose(facts).map(({ check }) => check),
    ["origin", "relay-silent"],
  );
});

test("a plan says what no failures means from 100 machines on", () => {
  assert.match(oneAtATime(0, 100) ?? "", /one of 100 machines at a time .*failures: 1%/);
  assert.equal(oneAtATime(0, 99), undefined);
  assert.equal(oneAtATime(0.1, 100_000), undefined);
});

test("a peak is kept for 5 to 10 minutes", () => {
  const peak = new RecentPeak();
  peak.note(0, 10);
  peak.note(1, 4);
  assert.equal(peak.at(2), 10);
  peak.note(5 * MINUTE_MS, 5);
  assert.equal(peak.at(10 * MINUTE_MS - 1), 10);
  assert.equal(peak.at(10 * MINUTE_MS), 5);
  assert.equal(peak.at(60 * MINUTE_MS), 0);
});
