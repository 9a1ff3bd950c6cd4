// What commands say of builds, rollouts and machines: whole texts, as people read them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildDetail, buildRecord, buildTable } from "../../cli/output/build-view.ts";
import { describeBuild, describeBytes, describeRollout } from "../../cli/output/describe.ts";
import { agentDetail, agentTable, regionTable } from "../../cli/output/fleet-view.ts";
import { historyRecord, historyTable } from "../../cli/output/history-view.ts";
import { progressRows, regionShare } from "../../cli/output/progress-rows.ts";
import { releaseDetail, releaseRecord, releaseTable } from "../../cli/output/release-view.ts";
import { rolloutDetail, rolloutRecord, rolloutTable } from "../../cli/output/rollout-view.ts";
import { statusPage } from "../../cli/output/status-view.ts";
import { Build, BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import {
  AgentInfo,
  GetStatusResponse,
  Region,
  ServicePhase,
} from "../../proto/gen/millrace/v1/fleet.ts";
import { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { RegionProgress, Rollout, RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";

const AT = 1_767_225_600_000;
const SHA = "0123456789abcdef0123456789abcdef01234567";

const build = Build.fromPartial({
  id: "b-0123456789abcdef",
  service: "hello",
  repository: "/srv/hello",
  sha: SHA,
  state: BuildState.BUILD_STATE_LEASED,
  phase: "pack",
  attempt: 1,
  worker: "worker-1",
  createdAtMs: AT,
  requesters: 2,
  ship: true,
  outputBytes: 25_000_000,
  packedBytes: 1_000_000,
  logBytes: 229,
});

const failed = Build.fromPartial({
  id: "b-1123456789abcdef",
  sha: SHA,
  state: BuildState.BUILD_STATE_FAILED,
  phase: "run",
  reason: "command",
  message: "the command ended with exit code 2",
  createdAtMs: AT,
  endedAtMs: AT + 1_500,
});

const rollout = Rollout.fromPartial({
  id: "r-0123456789abcdef",
  service: "hello",
  sha: SHA,
  release: "ab".repeat(32),
  state: RolloutState.ROLLOUT_STATE_ACTIVATING,
  wave: 1,
  waves: [
    { policy: { percent: 5, bakeMs: 1_000 }, size: 1, permitted: 1, healthy: 1 },
    { policy: { percent: 100, regions: ["eu"], labels: { role: "web" } }, permitted: 2, failed: 1 },
  ],
  regions: [
    {
      region: "eu",
      matching: 4,
      staged: 1,
      active: 2,
      failed: 1,
      bytes: { relay: 10, peer: 30, local: 60 },
      replicatedBytes: 5_000,
      neededBytes: 5_000,
    },
    { region: "us-east", matching: 4, fetching: 4, missingBytes: 100, excluded: true },
  ],
  failing: [{ agent: "agent-1", region: "eu", error: "not healthy\nat all" }],
  createdAtMs: AT,
  artifactBytes: 25_000_000,
  packedBytes: 1_000_000,
});

test("a build in one line", () => {
  assert.equal(
    describeBuild(build),
    "build b-0123456789abcdef of hello at 0123456789ab: leased, packing, 25 MB, 1.0 MB of it new",
  );
  assert.equal(
    describeBuild(failed),
    "build b-1123456789abcdef at 0123456789ab: failed: the command ended with exit code 2",
  );
});

test("builds in a table, one in full, and as a record", () => {
  assert.equal(
    buildTable([build, failed], AT + 5_000),
    `BUILD               SERVICE  SHA           STATE   AGE  OUTPUT  NEW     ROLLOUT
b-0123456789abcdef  hello    0123456789ab  leased  5 s  25 MB   1.0 MB  -
b-1123456789abcdef  -        0123456789ab  failed  5 s  0 B     0 B     -`,
  );
  assert.equal(buildTable([], AT), "no builds");
  assert.equal(
    buildDetail(build, AT + 5_000),
    `build       b-0123456789abcdef
service     hello
repository  /srv/hello
sha         ${SHA}
state       leased, packing
attempt     1, by worker-1
asked for   2026-01-01 00:00:00 UTC, by 2
so far      5.0 s
output      25 MB, 1.0 MB of it new
rollout     follows
log         229 B: millrace logs b-0123456789abcdef`,
  );
  assert.match(buildDetail(failed, AT + 9_000), /^state +failed \(command\)$/m);
  assert.match(buildDetail(failed, AT + 9_000), /^took +1\.5 s$/m);
  assert.equal(buildRecord(failed)["state"], "failed");
});

test("a rollout in one line, with what fails and why", () => {
  assert.equal(
    describeRollout(rollout),
    "rollout r-0123456789abcdef of hello at 0123456789ab: activating wave 2 of 2, 2 of 8 active, 1 failed",
  );
  const ended = Rollout.fromPartial({
    ...rollout,
    state: RolloutState.ROLLOUT_STATE_ROLLED_BACK,
    message: "over the budget",
    endedAtMs: AT + 9_000,
  });
  assert.match(describeRollout(ended), /: rolled back, 2 of 8 active, 1 failed: over the budget$/);
  assert.match(describeRollout({ ...rollout, paused: true }), /wave 2 of 2 \(paused\), /);
});

test("bytes by source", () => {
  const bytes = { origin: 0, relay: 25, peer: 75, local: 0 };
  assert.equal(describeBytes(bytes), "from peers 75 B (75 %), relays 25 B, this machine 0 B");
  assert.equal(
    describeBytes({ origin: 7, relay: 0, peer: 0, local: 0 }),
    "from peers 0 B (0 %), relays 0 B, this machine 0 B, origin 7 B",
  );
});

test("the past in a table, and as records", () => {
  const item = { $case: "rollout", rollout: { ...rollout, endedAtMs: AT + 9_000 } } as const;
  const items = [
    { item, archived: false },
    { item: { $case: "build", build: failed } as const, archived: true },
  ];
  assert.equal(
    historyTable(items, AT + 61_000),
    `BUILD OR ROLLOUT    SERVICE  SHA           STATE             AGE    TOOK   KEPT IN
r-0123456789abcdef  hello    0123456789ab  activating        1 min  9.0 s  store
b-1123456789abcdef  -        0123456789ab  failed (command)  1 min  1.5 s  archive`,
  );
  assert.equal(historyTable([], AT), "nothing has ended");
  assert.deepEqual(
    items.map(historyRecord).map(({ kind, archived, state }) => ({ kind, archived, state })),
    [
      { kind: "rollout", archived: false, state: "activating" },
      { kind: "build", archived: true, state: "failed" },
    ],
  );
});

test("rollouts in a table and one in full", () => {
  assert.equal(
    rolloutTable([rollout], AT + 61_000),
    `ROLLOUT             SERVICE  SHA           STATE       AGE    ACTIVE  FAILED
r-0123456789abcdef  hello    0123456789ab  activating  1 min  2 of 8  1`,
  );
  assert.equal(
    rolloutDetail(rollout, AT + 61_000),
    `rollout  r-0123456789abcdef
service  hello
brings   ${SHA} (release abababababab)
state    activating
begun    2026-01-01 00:00:00 UTC
so far   1 min 1 s
content  25 MB, 1.0 MB of it new
bytes    from peers 30 B (30 %), relays 10 B, this machine 60 B

WAVE  OF                 SIZE  PERMITTED  HEALTHY  FAILED  BAKE
1     5 %                1     1          1        0       1.0 s
2     100 % eu role=web  -     2          0        1       0 ms

REGION              AGENTS  FETCHING  STAGED  ACTIVATING  ACTIVE  FAILED  BACK  REPLICATED
eu                  4       0         1       0           2       1       0     5.0 kB of 5.0 kB
us-east (left out)  4       4         0       0           0       0       0     0 B of 0 B

FAILING AGENT  REGION  ERROR
agent-1        eu      not healthy`,
  );
  assert.equal(rolloutRecord(rollout)["state"], "activating");
});

test("rows of progress fit the terminal; a region is half there with its bytes", () => {
  const rows = progressRows({ build, rollout }, AT + 5_000, 90);
  assert.deepEqual(rows, [
    "build b-0123456789abcdef of hello at 0123456789ab: leased, packing, 25 MB, 1.0 MB of it n…",
    "rollout r-0123456789abcdef: activating wave 2 of 2, 2 of 8 active, 1 failed",
    "  eu      [██████████████████░░░░░░]  75 %  2 of 4 active, 1 staged, 1 failed",
    "  us-east [░░░░░░░░░░░░░░░░░░░░░░░░]   0 %  0 of 4 active, 4 fetching, left out",
    "  from peers 30 B (30 %), relays 10 B, this machine 60 B",
    "  5.0 s of 30 min, all bytes there in 5.0 s",
  ]);
  const alone = progressRows({ build: undefined, rollout }, AT + 5_000, 200);
  assert.equal(alone[0], describeRollout(rollout));
  const share = (region: Parameters<typeof RegionProgress.fromPartial>[0]): number =>
    regionShare(RegionProgress.fromPartial(region));
  assert.equal(share({}), 0);
  assert.equal(share({ matching: 4, missingBytes: 50, bytes: { peer: 50 } }), 0.25);
  assert.equal(share({ matching: 4, staged: 4 }), 0.5);
  assert.equal(share({ matching: 4, staged: 2, active: 2 }), 0.75);
  assert.equal(share({ matching: 4, active: 4 }), 1);
});

test("releases in a table, one in full, digests as hex", () => {
  const release = Release.fromPartial({
    release: "ab".repeat(32),
    service: "hello",
    sha: SHA,
    build: build.id,
    createdAtMs: AT,
    bytes: 25_000_000,
    entries: 27,
    packedBytes: 1_000_000,
    layout: {
      version: 1,
      packs: [
        { pack: "b-1.1", pieces: 6, segments: 1, bytes: 7_000, tableDigest: Buffer.from([171]) },
      ],
    },
    activation: { exec: ["node", "server.js"] },
    rollout: { waves: [{ percent: 5 }, { percent: 100 }] },
  });
  assert.equal(
    releaseTable([release], AT + 5_000),
    `SHA           RELEASE       SERVICE  AGE  ENTRIES  BYTES  NEW     BUILD
0123456789ab  abababababab  hello    5 s  27       25 MB  1.0 MB  b-0123456789abcdef`,
  );
  assert.match(releaseDetail(release), /^runs +node server\.js\nwaves +5 %, 100 %\n\nPACK /m);
  const { layout } = releaseRecord(release) as { layout: { packs: { tableDigest: string }[] } };
  assert.equal(layout.packs[0]?.tableDigest, "ab");
});

test("regions and machines", () => {
  const region = Region.fromPartial({
    name: "eu",
    agents: 3,
    packs: 2,
    bytes: 26_000_000,
    relays: [
      { id: "relay-1", address: "127.0.0.1:1", online: true, agents: 3, capacity: 10 },
      { id: "relay-2", address: "127.0.0.1:2", capacity: 10 },
    ],
  });
  assert.equal(
    regionTable([region]),
    `REGION  AGENTS  PACKS  BYTES  RELAY    ADDRESS      STATE
eu      3       2      26 MB  relay-1  127.0.0.1:1  online, 3 of 10
                              relay-2  127.0.0.1:2  offline, 0 of 10`,
  );
  const agent = AgentInfo.fromPartial({
    id: "agent-1",
    region: "eu",
    online: true,
    labels: { role: "web" },
    services: [
      {
        service: "hello",
        running: "ab".repeat(32),
        phase: ServicePhase.SERVICE_PHASE_FETCHING,
        missingBytes: 5_000_000,
        port: 4000,
      },
    ],
  });
  const idle = AgentInfo.fromPartial({ id: "agent-2", region: "eu" });
  assert.equal(
    agentTable([agent, idle]),
    `AGENT    REGION  STATE    SERVICE  RUNNING       PHASE                 ERROR
agent-1  eu      online   hello    abababababab  fetching 5.0 MB left
agent-2  eu      offline  -        -             -`,
  );
  assert.match(agentDetail(agent), /^labels +role=web$/m);
  assert.match(agentDetail(agent), /\n\nservice +hello\n.*\nport +4000$/s);
});

test("the status page", () => {
  const status = GetStatusResponse.fromPartial({
    version: "0.1.0",
    epoch: 3,
    workers: 1,
    regions: [{ name: "eu", agents: 4, relays: [{ online: true }, { online: false }] }],
    builds: [build],
    rollouts: [rollout],
  });
  assert.equal(
    statusPage(status, "127.0.0.1:7070", AT + 5_000),
    `millrace 0.1.0 at 127.0.0.1:7070, epoch 3, 1 worker

REGION  RELAYS ONLINE  AGENTS  PACKS  BYTES
eu      1 of 2         4       0      0 B

builds that run
  ${describeBuild(build)}

open rollouts
  r-0123456789abcdef hello 0123456789ab: activating wave 2 of 2, 2 of 8 active, 1 failed
    eu      [████████████░░░░░░░░░░░░] 2 of 4 active, 1 staged, 1 failed
    us-east [░░░░░░░░░░░░░░░░░░░░░░░░] 0 of 4 active, 4 fetching, left out
    from peers 30 B (30 %), relays 10 B, this machine 60 B

last rollouts
  no rollouts`,
  );
});
