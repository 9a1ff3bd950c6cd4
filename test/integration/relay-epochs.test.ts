// A relay and the leaders it hears: old epochs are refused, silence permits nothing, and what it was
// told outlives it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { WAVE_HASH_END } from "../../core/rollout/wave-hash.ts";
import { Assignment, AssignmentPhase, ServicePhase } from "../../proto/gen/millrace/v1/fleet.ts";
import { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { until } from "../lab/until.ts";
import { type RelayProcess, RelayWorld } from "./relay-process.ts";
import { ScriptedAgent, statusOf } from "./scripted-agent.ts";
import { type Command, ScriptedControlPlane } from "./scripted-control-plane.ts";

const RELEASE = "cd".repeat(32);
const STAGED = [statusOf({ phase: ServicePhase.SERVICE_PHASE_STAGED })];

const assigned = (epoch: number, revision: number): Command => ({
  $case: "assignments",
  assignments: {
    service: "hello",
    epoch,
    revision,
    assignments: [
      Assignment.fromPartial({
        service: "hello",
        epoch,
        revision,
        rollout: "r-1",
        release: Release.fromPartial({ release: RELEASE, service: "hello" }),
        phase: AssignmentPhase.ASSIGNMENT_PHASE_OPEN,
        waves: [{ threshold: WAVE_HASH_END, regions: [], labels: {} }],
      }),
    ],
  },
});

const quota = (count: number, epoch: number): Command => ({
  $case: "quota",
  quota: { rollout: "r-1", epoch, wave: 0, quota: count, together: count, ttlMs: 60_000 },
});

const snapshotEnd = (epoch: number): Command => ({ $case: "snapshotEnd", snapshotEnd: { epoch } });

describe("a relay and its leaders", { timeout: 240_000 }, () => {
  let world: RelayWorld;
  const agents: ScriptedAgent[] = [];
  const agent = (relay: RelayProcess, id: string, connect = 1): ScriptedAgent => {
    const one = new ScriptedAgent(relay.address, { agent: id, services: STAGED, connect });
    agents.push(one);
    return one;
  };
  before(async () => {
    world = await RelayWorld.start(4);
  });
  after(async () => {
    for (const one of agents) one.close();
    await world.stop();
  });

  test("threat 25: refuses commands and leaders of a lower epoch, also after a restart", async () => {
    let relay = await world.relay({ name: "epochs" });
    const line = await world.control.line(relay.id);
    assert.equal(line.hello.settleMs, 0, "with no earlier life there is nobody to wait for");
    line.send(assigned(4, 10), snapshotEnd(4));
    const first = agent(relay, "a1");
    await first.command("assignments");
    line.send(assigned(3, 99), quota(5, 3));
    const report = await line.report("two refused", ({ refused }) => refused === 2);
    assert.equal(report.epoch, 4);
    assert.equal(report.rollouts[0]?.revision, 10);
    assert.equal(report.rollouts[0]?.waves[0]?.granted, 0);
    await relay.end("SIGKILL");

    world.control.epoch = 3;
    world.control.snapshot = () => [assigned(3, 100), snapshotEnd(3), quota(5, 3)];
    const before = world.control.lines.all.length;
    relay = await world.relay({ name: "epochs" });
    const old = await world.control.line(relay.id, before);
    assert.equal(old.hello.epoch, 4, "says which epoch it has seen");
    assert.ok(old.hello.settleMs > 0, "says that its agents are on their way back");
    await world.control.line(relay.id, before + 1);
    assert.equal(old.messages.all.length, 0, "an old leader is left without a word");
    const second = agent(relay, "a2");
    assert.equal((await second.command("assignments")).assignments.revision, 10);
    assert.equal(second.count("permit"), 0);

    world.control.snapshot = () => [assigned(5, 10), snapshotEnd(5), quota(1, 5)];
    world.control.epoch = 5;
    assert.equal((await second.command("permit")).permit.epoch, 5);
    await relay.end("SIGKILL");
  });
});

describe("a relay without a leader", { timeout: 240_000 }, () => {
  let world: RelayWorld;
  const agents: ScriptedAgent[] = [];
  const agent = (relay: RelayProcess, id: string, connect = 1): ScriptedAgent => {
    const one = new ScriptedAgent(relay.address, { agent: id, services: STAGED, connect });
    agents.push(one);
    return one;
  };
  before(async () => {
    world = await RelayWorld.start(1);
  });
  after(async () => {
    for (const one of agents) one.close();
    await world.stop();
  });

  test("hands out no permit once the heartbeats have stopped, and obeys nothing", async () => {
    const relay = await world.relay({ name: "silence" });
    const line = await world.control.line(relay.id);
    line.send(assigned(1, 1), snapshotEnd(1), quota(1, 1));
    await agent(relay, "s1").command("permit");
    world.control.isBeating = false;
    line.send({ $case: "heartbeat", heartbeat: { epoch: 1, ttlMs: 1, store: "" } });
    const two = agent(relay, "s2");
    await two.command("snapshotEnd");
    line.send(quota(2, 1), assigned(1, 2));
    // Both are held back: a stream on which nobody leads is not obeyed.
    const three = agent(relay, "s3");
    await three.command("snapshotEnd");
    assert.equal(two.count("permit") + three.count("permit"), 0);
    const { assignments } = await three.command("assignments");
    assert.equal(assignments.revision, 1);
    world.control.isBeating = true;
    await two.commands.find(
      "permit or assignments",
      (command) => command.$case === "assignments" && command.assignments.revision === 2,
    );
    const permits = (): number => two.count("permit") + three.count("permit");
    await until("a permit for one of them", () => permits() >= 1);
    await line.report("two granted", ({ rollouts }) => rollouts[0]?.waves[0]?.granted === 2);
    assert.equal(permits(), 1);
    await relay.end("SIGKILL");
  });

  test("restarted, tells agents what should run, and permits nothing", async () => {
    const control = await ScriptedControlPlane.start(1);
    try {
      let relay = await world.relay({ name: "alone", controlplane: control.address });
      const line = await control.line(relay.id);
      line.send(assigned(1, 7), snapshotEnd(1), quota(1, 1));
      await line.report("the quota's wave", ({ rollouts }) => rollouts.length === 1);
      await relay.end("SIGKILL");
      control.stop();
      relay = await world.relay({ name: "alone", controlplane: control.address });
      const one = agent(relay, "l1");
      assert.equal((await one.command("assignments")).assignments.revision, 7);
      await one.command("snapshotEnd");
      assert.equal(one.count("permit"), 0);
      await relay.end("SIGKILL");
    } finally {
      control.stop();
    }
  });

  test("killed before or after it sent a permit, it has not handed out one too many", async () => {
    for (const failpoint of ["relay.before-permit", "relay.after-permit"]) {
      const start = { name: `kill-${failpoint}` };
      const killed = await world.relay({ ...start, failpoint });
      const line = await world.control.line(killed.id);
      line.send(assigned(1, 1), snapshotEnd(1));
      const ids = [`${failpoint}-x`, `${failpoint}-y`];
      for (const id of ids) await agent(killed, id).command("snapshotEnd");
      line.send(quota(1, 1));
      assert.equal(await killed.exited, null);
      const before = world.control.lines.all.length;
      const again = await world.relay(start);
      const next = await world.control.line(again.id, before);
      next.send(assigned(1, 1), snapshotEnd(1), quota(1, 1));
      const report = await next.report("the permit of before", ({ rollouts }) => {
        return rollouts[0]?.waves[0]?.granted === 1;
      });
      assert.equal(report.rollouts[0]?.waves[0]?.outstanding, 1);
      const back = ids.map((id) => agent(again, id, 2));
      await Promise.all(back.map((one) => one.command("snapshotEnd")));
      const third = agent(again, `${failpoint}-z`);
      await third.command("snapshotEnd");
      await next.report("three agents", ({ agents: count }) => count === 3);
      const permits = (): number => back.reduce((sum, one) => sum + one.count("permit"), 0);
      await until("the agent that had it gets the same one again", () => permits() >= 1);
      assert.equal(permits(), 1);
      assert.equal(third.count("permit"), 0);
      await again.end("SIGKILL");
    }
  });
});
