// Three members of etcd and two control planes that are cut off from each other in part, by proxies between members and
// before them: at most one leads, a minority writes nothing, rollouts go on, and all heal without an operator.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parseLeader } from "../../controlplane/leadership/leader-row.ts";
import { LEADER_KEY } from "../../core/leadership/election.ts";
import { RolloutState } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import type { EtcdMember } from "../lab/etcd.ts";
import { FaultyWire } from "../lab/faulty-wire.ts";
import { MemberWays } from "../lab/member-ways.ts";
import { until } from "../lab/until.ts";
import type { ControlPlane } from "./controlplane-process.ts";
import { ReplicaWorld } from "./replica-world.ts";
import { releaseOf } from "./rollout-world.ts";

/** Longer than a lease, an election among members and one among replicas. */
const STANDING_MS = 6_000;
const POLICY = {
  maxUnavailablePercent: 100,
  waves: [{ percent: 25, bakeMs: 2_000 }, { percent: 100 }],
};

const ways = new MemberWays();
const world = await ReplicaWorld.start({ members: 3, ways });
const { members } = world.etcd;
/** A wire of each replica to each member, in the members' order. */
const wires = new Map<ControlPlane, readonly FaultyWire[]>();
/** Who led in each epoch, as the store has it. */
const leaders = new Map<number, Set<string>>();

before(async () => {
  await world.store.watch({ prefix: LEADER_KEY }, (events) => {
    for (const { type, entry } of events) {
      if (type !== "put") continue;
      const { epoch, replica } = parseLeader(entry);
      leaders.set(epoch, (leaders.get(epoch) ?? new Set()).add(replica));
    }
  });
  for (let count = 0; count < 2; count += 1) {
    const own = await Promise.all(members.map(({ address }) => FaultyWire.listen(address)));
    const store = `etcd://${own.map(({ address }) => address).join(",")}`;
    wires.set(await world.addReplica({ store }), own);
  }
  await world.addRelays(2, 4);
});
after(async () => {
  await world.stop();
  ways.close();
  await Promise.all([...wires.values()].flat().map((wire) => wire.close()));
});

/** Has a replica reach these members and no others. */
function reach(replica: ControlPlane, reached: readonly EtcdMember[]): void {
  for (const [index, wire] of (wires.get(replica) ?? []).entries()) {
    const isReached = reached.includes(members[index] as EtcdMember);
    wire.become(isReached ? "open" : "cut");
    if (!isReached) wire.breakConnections();
  }
}

function healAll(): void {
  assert.ok(ways.heal() > 0, "it was felt");
  for (const replica of world.replicas) reach(replica, members);
}

/** Begins a rollout, and resolves when its first wave is under way; the answer sees it through. */
async function begin(name: string): Promise<() => Promise<void>> {
  const release = releaseOf("hello", name, POLICY);
  const id = await world.rollOut(world.any, release);
  const switched = () => world.machines.map((one) => one.switched.get(release.release) ?? 0);
  await until("the first wave", () => switched().some((times) => times > 0));
  return async () => {
    await until("the end of the rollout", async () => {
      for (const { rollouts } of world.replicas) {
        const asked = call(rollouts, rollouts.getRollout, { id }, { deadlineMs: 2_000 });
        const { rollout } = (await asked.catch(() => undefined)) ?? {};
        if (rollout?.state === RolloutState.ROLLOUT_STATE_SUCCEEDED) return true;
      }
      return false;
    });
    assert.deepEqual(new Set(switched()), new Set([1]), "each machine once");
  };
}

/** Nobody was obeyed who led no more, and no epoch had two leaders. */
function checkLeaders(): void {
  assert.deepEqual(world.obeyedLate, []);
  for (const [epoch, replicas] of leaders) assert.equal(replicas.size, 1, `epoch ${epoch}`);
}

/** All replicas agree on who leads, and the leader's epoch is above this one. */
const agree = (epoch: number) =>
  until("all to agree on a leader", async () => {
    const found = await Promise.all(
      world.replicas.map(async ({ leadership }) => {
        return (await call(leadership, leadership.getLeader, {})).leader;
      }),
    );
    const [first] = found;
    const isOne = found.every((leader) => leader?.replica === first?.replica);
    return isOne && first !== undefined && first.epoch >= epoch && first;
  });

test("fault 6: the leader and the member that leads etcd are cut off from the majority: others lead, the minority writes nothing", async () => {
  const { leader, replica } = await world.leader(world.any);
  const other = world.other(replica);
  const end = await begin("minority");
  const lonely = world.etcd.leader();
  const most = members.filter((member) => member !== lonely);
  ways.isolate(lonely);
  reach(replica, [lonely]);
  reach(other, most);
  // Asked directly, as a client that knows no better: it neither writes nor tells what may be of old.
  const minority = openStore(`etcd://${lonely.address}`).catch((error: unknown) => error);
  const next = await world.leader(other, leader.epoch);
  assert.equal(next.replica, other);
  await end();
  assert.ok((await minority) instanceof Error, "a member alone serves nobody");
  const { leadership } = replica;
  await until("the one before to know that it leads no more", async () => {
    const answer = await call(leadership, leadership.getLeader, {});
    return answer.leader?.replica !== replica.id;
  });
  healAll();
  await agree(next.leader.epoch);
  checkLeaders();
});

/** Cuts between the member that leads and another, while a rollout is under way. */
const CUTS = [
  {
    title: "two members cannot reach each other, and both reach the third",
    name: "ring",
    cut: (lead: EtcdMember, other: EtcdMember) => {
      ways.cut(lead, other);
      ways.cut(other, lead);
    },
  },
  {
    title: "a member is heard by the one that leads and does not hear it",
    name: "one way",
    cut: (lead: EtcdMember, deaf: EtcdMember) => ways.cut(lead, deaf),
  },
];

for (const { title, name, cut } of CUTS) {
  test(`fault 6: ${title}: one leads at a time, and a rollout ends`, async () => {
    const { epoch } = (await world.leader(world.any)).leader;
    const lead = world.etcd.leader();
    const [other] = members.filter((member) => member !== lead) as [EtcdMember];
    const end = await begin(name);
    cut(lead, other);
    await sleep(STANDING_MS);
    checkLeaders();
    healAll();
    await end();
    await agree(epoch);
    checkLeaders();
  });
}
