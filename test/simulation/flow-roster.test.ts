// Rosters of a whole fleet's relays: after each fault all relays of a region know the same machines again, what it
// takes to tell them is counted, and whom a machine is introduced to decides where its bytes come from.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Change, simulated } from "./fleet-world.ts";

const PACK = "b-0.1";
/** Of a release whose packs are there after 64 s and whose waves take two minutes more. */
const IN_MID_WAVE_S = 90;
const MACHINES = 200;
const GB = 1e9;

for (const [name, faults] of [
  ["nothing happens", []],
  ["half of the relays die and come back", [{ kind: "relay-killed", share: 0.5, for_s: 20 }]],
  ["half of the relays die", [{ kind: "relay-killed", share: 0.5, for_s: 3_000 }]],
  ["all relays die and come back", [{ kind: "relay-killed", share: 1, for_s: 5 }]],
  ["all agents lose their relays", [{ kind: "agents-dropped" }]],
  ["the leader dies", [{ kind: "leader-killed" }]],
  ["a region is cut off", [{ kind: "region-cut", region: 0, for_s: 20 }]],
] as const) {
  test(`relays of a region know all machines of a swarm, and the same, where ${name}`, () => {
    const struck = faults.map((fault) => ({ ...fault, at_s: IN_MID_WAVE_S }));
    const { world, request } = simulated({ faults: struck } as unknown as Change);
    assert.equal(request.reason, "succeeded");
    const up = world.relays.filter(({ isUp }) => isUp);
    assert.deepEqual(
      up.map(({ roster }) => roster.size(PACK)),
      up.map(() => MACHINES),
    );
  });
}

test("a relay tells each sibling of each of its machines, once, and all again after it was away", () => {
  const told = (faults: unknown[], relays = 2) => {
    const { world, summary } = simulated({ faults, fleet: { relays } } as Change);
    const members = world.relays.reduce((sum, { roster }) => sum + roster.membersTold, 0);
    return { members, peak: summary.peak["relay_members_told_per_s"] as number };
  };
  const all = 2 * MACHINES;
  assert.equal(told([]).members, all);
  assert.equal(told([], 4).members, 3 * all);
  // Its machines go to its sibling, which has nobody to tell before it is back.
  const loss = told([{ kind: "relay-killed", share: 0.5, at_s: IN_MID_WAVE_S, for_s: 20 }]);
  assert.equal(loss.members, 2 * all);
  assert.equal(loss.peak, MACHINES);
  // Whom a new leader names first believes that it is alone, until the other is named too.
  assert.equal(told([{ kind: "leader-killed", at_s: IN_MID_WAVE_S }]).members, 2 * all);
  // Each leaves and joins again, mostly within the second in which nothing is told.
  const storm = told([{ kind: "agents-dropped", at_s: IN_MID_WAVE_S }]).members;
  assert(storm > all && storm <= 3 * all, `${storm}`);
});

/** A release that is out for a long time, on machines of which a tenth is away when it comes. */
const AWAY = {
  fleet: { relay_mbit: 100 },
  artifact: { bytes_p50: GB, bytes_max: GB },
  rollout: { waves: [{ percent: 10, bake_s: 1_300 }, { percent: 100 }] },
} as unknown as Change;

test("machines that come late fetch from those that their relay knows, and from the relay where they all have left", () => {
  const run = (for_s: number, change: Change = {}) => {
    const faults = [{ kind: "agents-dropped" as const, share: 0.1, at_s: 0, for_s }];
    const { world, summary, request } = simulated({ ...AWAY, ...change, faults } as Change);
    assert.equal(request.reason, "succeeded");
    const late = world.agents.filter(({ standing }) => standing.running !== PACK);
    assert.deepEqual(late, []);
    return summary.bytes;
  };
  const atOnce = run(1);
  // All others keep it for a quarter of an hour.
  const soon = run(600);
  assert(soon.relay < atOnce.relay, `${soon.relay}, ${atOnce.relay}`);
  // A gigabyte is more than they keep for longer: the first in each region has nobody but its relay.
  const late = run(1_200);
  assert(late.relay >= soon.relay + 2 * GB, `${late.relay}, ${soon.relay}`);
  assert(late.relay <= soon.relay + 6 * GB, `${late.relay}, ${soon.relay}`);
  // What is small enough stays, and so do its swarms.
  const small = run(1_200, { artifact: { bytes_p50: GB / 2, bytes_max: GB / 2 } });
  assert(small.relay < soon.relay, `${small.relay}, ${soon.relay}`);
});

test("a region without relays gets nothing, and goes on when one is back", () => {
  const faults = [{ kind: "relay-killed", share: 1, at_s: 62, for_s: 30 }];
  const { request, summary } = simulated({ faults } as unknown as Change);
  assert.equal(request.reason, "succeeded");
  assert((request.replicatedAt ?? 0) >= 92_000, `${request.replicatedAt}`);
  assert(summary.last_active_s > simulated().summary.last_active_s);
});
