// Rollouts over real gRPC: from a shipped build to every machine, back from a bad one, through pauses,
// restarts of the control plane, and operators who do the same thing at once.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import type { ServiceError } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import { ShipRequest } from "../../proto/gen/millrace/v1/builds.ts";
import {
  PlanRolloutRequest,
  RolloutState,
  type WatchRolloutResponse,
} from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { until } from "../lab/until.ts";
import { RolloutWorld, releaseOf } from "./rollout-world.ts";

/** Everybody at once: tests of order and of bounds say otherwise. */
const FAST = { failuresPercent: 50, maxUnavailablePercent: 100 };

let world: RolloutWorld;
beforeEach(async () => {
  world = new RolloutWorld();
  await world.start();
});
afterEach(() => world.stop());

/** Rolls a release out to every machine. */
async function settle(service: string, name: string) {
  const release = await world.release(service, name, FAST);
  const { id } = await world.rollOut(release);
  await world.reaches(id, "succeeded");
  await until("machines", () => world.machines.every(({ running }) => running === release.release));
  return release;
}

test("a shipped build goes from replication over its waves to every machine", async () => {
  await world.addRelays(3, 4);
  const release = releaseOf("hello", "one", {
    ...FAST,
    waves: [
      { percent: 5, bakeMs: 200 },
      { percent: 50, regions: ["region-1"] },
    ],
  });
  const pack = `${release.build}.1`;
  const order = { build: release.build, attempt: 1, pack, service: "hello", targets: {} };
  world.plane.packs.orderBegun({ ...order, excludedRegions: [], traceparent: "", urgent: false });
  world.plane.packs.packGrew(pack, 2);
  await until("pre-fetch", () => world.relays.every((one) => one.packs.get(pack) === 2));
  const ship = ShipRequest.fromPartial({ urgent: true });
  const input = { buildId: release.build, release, ship, traceparent: "" };
  const { rolloutId, compares, operations } = await world.plane.ship.prepare(input);
  world.plane.packs.orderEnded(pack, true);
  assert.ok((await world.store.transact({ compares, operations })).committed);
  const rollout = await world.reaches(rolloutId, "succeeded");
  assert.deepEqual(
    rollout.waves.map(({ size }) => size),
    [1, 2, 12],
  );
  assert.deepEqual([rollout.build, rollout.policy?.urgent], [release.build, true]);
  for (const machine of world.machines) {
    assert.deepEqual([...machine.switched], [[release.release, 1]]);
  }
  assert.deepEqual(
    rollout.regions.map(({ region, active, replicatedBytes }) => [region, active, replicatedBytes]),
    [0, 1, 2].map((index) => [`region-${index}`, 4, 400]),
  );
});

test("machines of a small release are granted permits before any of them has it", async () => {
  await world.addRelays(2, 3);
  for (const relay of world.relays) relay.isEarly = true;
  const { id } = await world.rollOut(await world.release("hello", "one", FAST));
  const { regions } = await world.reaches(id, "succeeded");
  assert.deepEqual(
    regions.map(({ active }) => active),
    [3, 3],
  );
});

test("a region that does not hold every pack holds the rollout up", async () => {
  await world.addRelays(2, 1);
  const release = await world.release("hello", "one", FAST);
  world.relays[1]?.withheld.add(`${release.build}.1`);
  const { id } = await world.rollOut(release);
  await until("replication of the other region", () => world.relays[0]?.packs.size === 1);
  const held = await world.reaches(id, "replicating");
  assert.equal(held.regions.find(({ region }) => region === "region-1")?.replicatedBytes, 0);
  const { rollouts } = world.plane;
  await call(rollouts, rollouts.abortRollout, { id: "hello" });
  await world.reaches(id, "aborted");
  // Who did not hear the answer says it again.
  const { rollout: same } = await call(rollouts, rollouts.abortRollout, { id });
  assert.equal(same?.state, RolloutState.ROLLOUT_STATE_ABORTED);
  const other = await world.rollOut(release, { excludedRegions: ["region-1"] });
  await world.reaches(other.id, "succeeded");
  assert.deepEqual(
    world.machines.map(({ running }) => running),
    [release.release, ""],
  );
});

test("a bad release harms one machine, and all run the one before again", async () => {
  await world.addRelays(3, 4);
  const good = await settle("hello", "good");
  const bad = await world.release("hello", "bad", { ...FAST, waves: [{ percent: 5 }] });
  for (const relay of world.relays) relay.bad.add(bad.release);
  const { id, previousSha } = await world.rollOut(bad);
  assert.equal(previousSha, good.sha);
  const rollout = await world.reaches(id, "rolledBack");
  assert.equal(rollout.reason, "budget");
  assert.equal(rollout.failing.length, 1);
  const harmed = world.machines.filter(({ switched }) => switched.has(bad.release));
  assert.equal(harmed.length, 1);
  assert.ok(world.machines.every(({ running }) => running === good.release));
  const plan = await call(world.plane.rollouts, world.plane.rollouts.planRollout, {
    ...PlanRolloutRequest.fromPartial({ release: good.sha }),
  });
  assert.ok(plan.noChange);
});

test("a bad first release is stopped, and the rollout has failed", async () => {
  await world.addRelays(1, 3);
  const bad = await world.release("hello", "bad", FAST);
  world.relays[0]?.bad.add(bad.release);
  const { id } = await world.rollOut(bad);
  const rollout = await world.reaches(id, "failed");
  assert.equal(rollout.reason, "no_last_good");
  assert.ok(world.machines.every(({ running }) => running === ""));
});

test("a paused rollout grants nothing until it is resumed", async () => {
  await world.addRelays(2, 4);
  const waves = [{ percent: 25, bakeMs: 500 }, { percent: 100 }];
  const release = await world.release("hello", "one", { ...FAST, waves });
  const { id } = await world.rollOut(release);
  await world.reaches(id, "baking");
  const { rollouts } = world.plane;
  const { rollout } = await call(rollouts, rollouts.pauseRollout, { id: "hello" });
  assert.equal(rollout?.paused, true);
  await until("bake time", () => Date.now() > (rollout?.updatedAtMs ?? 0) + 1_500);
  assert.equal((await world.get(id)).state, RolloutState.ROLLOUT_STATE_BAKING);
  assert.equal(world.machines.filter(({ running }) => running !== "").length, 2);
  await call(rollouts, rollouts.resumeRollout, { id });
  await world.reaches(id, "succeeded");
});

test("fault 2: a new leader goes on in mid-rollout, and an old one is not obeyed", async () => {
  await world.addRelays(2, 5);
  const waves = [{ percent: 20 }, { percent: 100 }];
  const release = await world.release("hello", "one", { failuresPercent: 10, waves });
  const { id } = await world.rollOut(release);
  await until("some machines", () => world.machines.some(({ running }) => running !== ""));
  const { epoch } = world.plane.fence;
  await world.restart();
  assert.ok(world.plane.fence.epoch > epoch);
  await world.reaches(id, "succeeded");
  for (const machine of world.machines) {
    assert.deepEqual([...machine.switched], [[release.release, 1]]);
  }
  // A relay that has seen a higher epoch than this leader's ends its rule.
  const [relay] = world.relays;
  assert.ok(relay);
  relay.epoch = world.plane.fence.epoch + 1;
  await world.restart();
  relay.epoch = world.plane.fence.epoch + 1;
  await until("deposed", () => world.deposed === world.plane.fence.epoch + 1);
  await until("refusal", () => relay.refusals.some((text) => text.includes("has seen")));
});

test("fault 29: the same key starts one rollout, and of two with one plan one wins", async () => {
  await world.addRelays(1, 2);
  const one = await world.release("hello", "one", FAST);
  const two = await world.release("hello", "two", FAST);
  const starts = await Promise.all(
    [1, 2, 3].map(() => world.rollOut(one, { idempotencyKey: "ticket 7" })),
  );
  assert.equal(new Set(starts.map(({ id }) => id)).size, 1);
  await world.reaches(starts[0]?.id ?? "", "succeeded");
  const { rollouts } = world.plane;
  const request = PlanRolloutRequest.fromPartial({ release: two.sha });
  const plan = await call(rollouts, rollouts.planRollout, request);
  const { revision, waveSizes, estimate } = plan;
  assert.deepEqual(waveSizes, [2]);
  assert(estimate?.meetsSlo && estimate.endMs > estimate.stagedMs, JSON.stringify(estimate));
  assert.deepEqual(
    estimate.waves.map(({ machines }) => machines),
    [2],
  );
  const results = await Promise.allSettled([1, 2].map(() => world.rollOut(two, { revision })));
  const lost = results.filter((result) => result.status === "rejected");
  assert.equal(lost.length, 1);
  for (const { reason } of lost) assert.equal((reason as ServiceError).code, status.ABORTED);
});

test("fault 29: a newer rollout waits for the one before, or takes its place", async () => {
  await world.addRelays(2, 3);
  const slow = { ...FAST, waves: [{ percent: 30, bakeMs: 60_000 }, { percent: 100 }] };
  const one = await world.rollOut(await world.release("hello", "one", slow));
  await world.reaches(one.id, "baking");
  const two = await world.rollOut(await world.release("hello", "two", FAST));
  assert.equal(two.state, RolloutState.ROLLOUT_STATE_WAITING);
  const { rollouts } = world.plane;
  const { rollout: running } = await call(rollouts, rollouts.getRollout, { id: "hello" });
  assert.equal(running?.id, one.id);
  assert.deepEqual(await openOnes(), [two.id, one.id]);
  const last = await world.release("hello", "three", FAST);
  const three = await world.rollOut(last, { supersede: true });
  const superseded = await world.reaches(one.id, "aborted");
  assert.equal(superseded.reason, "superseded");
  await world.reaches(two.id, "aborted");
  await world.reaches(three.id, "succeeded");
  assert.ok(world.machines.every(({ running }) => running === last.release));
  await until("no rollout to be open", async () => (await openOnes()).length === 0);
});

/** The open rollouts, newest first, as pages of one. */
async function openOnes(): Promise<string[]> {
  const { rollouts } = world.plane;
  const ids: string[] = [];
  let pageToken = "";
  do {
    const request = { service: "hello", openOnly: true, limit: 1, pageToken };
    const page = await call(rollouts, rollouts.listRollouts, request);
    ids.push(...page.rollouts.map(({ id }) => id));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return ids;
}

test("roll back by hand: an open rollout goes back, an ended one is followed by another", async () => {
  await world.addRelays(1, 4);
  const first = await settle("hello", "one");
  const slow = { ...FAST, waves: [{ percent: 25, bakeMs: 60_000 }, { percent: 100 }] };
  const open = await world.rollOut(await world.release("hello", "two", slow));
  await world.reaches(open.id, "baking");
  const { rollouts } = world.plane;
  const back = (idempotencyKey: string) =>
    call(rollouts, rollouts.rollBack, { id: "hello", idempotencyKey });
  const { rollout: same } = await back("first");
  assert.equal(same?.id, open.id);
  await world.reaches(open.id, "rolledBack");
  assert.ok(world.machines.every(({ running }) => running === first.release));
  const third = await settle("hello", "three");
  const { rollout: next } = await back("second");
  assert.equal(next?.release, first.release);
  // Said again by somebody who did not hear the answer: by now the name means other rollouts.
  assert.equal((await back("first")).rollout?.id, open.id);
  assert.equal((await back("second")).rollout?.id, next?.id);
  await world.reaches(next?.id ?? "", "succeeded");
  assert.ok(world.machines.every(({ running }) => running === first.release));
  // What failed last is not what the service runs, and so not what it goes back from.
  const bad = await world.release("hello", "bad", FAST);
  for (const relay of world.relays) relay.bad.add(bad.release);
  await world.reaches((await world.rollOut(bad)).id, "rolledBack");
  const { rollout: again } = await back("");
  assert.equal(again?.release, third.release);
  await world.reaches(again?.id ?? "", "succeeded");
});

test("who watches sees it through, and machines are found by id", async () => {
  await world.addRelays(2, 3);
  const release = await world.release("hello", "one", FAST);
  const { id } = await world.rollOut(release);
  const states: RolloutState[] = [];
  const stream = world.plane.rollouts.watchRollout({ id });
  for await (const { rollout } of stream as AsyncIterable<WatchRolloutResponse>) {
    if (rollout !== undefined) states.push(rollout.state);
  }
  assert.equal(states.at(-1), RolloutState.ROLLOUT_STATE_SUCCEEDED);
  const { fleet } = world.plane;
  const ids: string[] = [];
  const filter = { region: "", failingOnly: false, limit: 4 };
  for (let pageToken = ""; ; ) {
    const page = await call(fleet, fleet.listAgents, { ...filter, pageToken });
    ids.push(...page.agents.map((agent) => agent.id));
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  assert.deepEqual(ids, world.machines.map((machine) => machine.id).sort());
  const { agent } = await call(fleet, fleet.getAgent, { id: "agent-region-1-2" });
  assert.equal(agent?.relay, "relay-1");
  await assert.rejects(call(fleet, fleet.getAgent, { id: "agent-region-1" }), /more than one/);
  const glance = await call(fleet, fleet.getStatus, {});
  assert.deepEqual(
    glance.recent.map((rollout) => rollout.id),
    [id],
  );
});
