// Machines of a small fleet that change their relay: where their connections died without a word they are with another
// relay before the first has noticed, and a wave that is drawn just then has its exact share all the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { RELAY_BACKOFF } from "../../core/fleet/agent-backoff.ts";
import type { Relay } from "../../simulator/fleet/relay.ts";
import type { RolloutRecord } from "../../simulator/fleet/rollout-record.ts";
import { Scene } from "../../simulator/fleet/scene.ts";

/** Machines that lose their relay: a fifth of the fleet. */
const LOST = 10;
/** Longer than it takes both ends of a connection to find out, one after the other. */
const CUT_MS = 40_000;
const LIMIT_MS = 120_000;

const POLICY: RolloutRecord["policy"] = {
  waves: [20, 100].map((percent) => ({ percent, regions: [], labels: {}, bakeMs: 0 })),
  ...{ failuresPercent: 10, maxUnavailablePercent: 20, sampleMin: 0, targets: {} },
};

function deploy(scene: Scene, key: string): void {
  scene.deploy({ key, release: scene.release(key), policy: POLICY, supersede: true });
}

/** A fleet whose machines have just begun to fetch a release. */
function fetching(): Scene {
  const scene = new Scene(1);
  scene.world.start();
  scene.run(5_000);
  deploy(scene, "first");
  const { agents } = scene.world;
  const isTold = () => agents.every(({ report }) => report?.phase === "fetching");
  assert.ok(scene.run(LIMIT_MS, isTold), "nobody fetches");
  return scene;
}

/** Two relays of a region, the one with more machines first. */
function relaysOf(scene: Scene): readonly [Relay, Relay] {
  const [one, other] = scene.world.relaysOf("east") as [Relay, Relay];
  return one.sessionCount >= other.sessionCount ? [one, other] : [other, one];
}

/** Has nothing come from one program to the other. */
function cut(scene: Scene, from: string, to: string): void {
  scene.world.network.cut(from, to, scene.now + CUT_MS);
}

/** Has nothing come from some machines to their relay, so that they notice first; returns when they are with the other. */
function moveSome(scene: Scene, from: Relay, to: Relay): void {
  const lost = [...(from.desks?.machines() ?? [])].slice(0, LOST);
  assert.equal(lost.length, LOST);
  for (const { agentId } of lost) cut(scene, agentId, from.name);
  const before = to.sessionCount;
  const haveCome = () => to.sessionCount >= before + LOST;
  assert.ok(scene.run(scene.now + CUT_MS, haveCome), "they have not come to the other relay");
}

/** Brings another release to the fleet; gives the size of its first wave. */
function firstWave(scene: Scene): number | undefined {
  deploy(scene, "second");
  const row = () =>
    scene.checks.rollouts.records.find(({ release }) => release.release === "second");
  const isDrawn = () => row()?.row.waves[0]?.planned !== undefined;
  assert.ok(scene.run(scene.now + LIMIT_MS, isDrawn), "no wave was drawn");
  return row()?.row.waves[0]?.size;
}

function awayAt({ desks }: Relay): number {
  return [...(desks?.machines() ?? [])].filter(({ agentId }) => desks?.isAway(agentId)).length;
}

const CASES = [
  { title: "fault 24: a wave counts machines once whose relay has not noticed that they are gone" },
  {
    title: "fault 24: it does so where the relays that they left and found do not reach each other",
    areApart: true,
  },
];

for (const { title, areApart = false } of CASES) {
  test(title, () => {
    const scene = fetching();
    const [from, to] = relaysOf(scene);
    if (areApart) {
      cut(scene, from.name, to.name);
      cut(scene, to.name, from.name);
    }
    moveSome(scene, from, to);
    assert.equal(firstWave(scene), scene.world.agents.length / 5);
  });
}

test("machines of a relay that is killed are on their way no longer than the leader counts it", () => {
  const scene = fetching();
  const [from, to] = relaysOf(scene);
  from.kill();
  const haveCome = () => scene.world.agents.every(({ isWelcome }) => isWelcome);
  assert.ok(scene.run(scene.now + LIMIT_MS, haveCome), "some have no relay");
  assert.equal(awayAt(to), 0);
});

test("machines of a relay that is started again are on their way no longer than it is waited for", () => {
  const scene = fetching();
  const [from, to] = relaysOf(scene);
  const before = to.sessionCount;
  from.kill();
  from.start();
  scene.run(scene.now + RELAY_BACKOFF.mostMs);
  assert.ok(to.sessionCount > before, "nobody came to the other relay");
  assert.equal(awayAt(to) + awayAt(from), 0);
});
