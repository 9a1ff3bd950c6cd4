// Switching, and everything that can go wrong in it: at every moment the old or the new release runs.
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Activation } from "../../proto/gen/millrace/v1/release_format.ts";
import { freePorts } from "../lab/free-ports.ts";
import { until } from "../lab/until.ts";
import { AgentWorld, SERVICE, server } from "./agent-world.ts";

const service = SERVICE;

/** A world with two releases, the first of them active. */
async function twoReleases(health: number, port = 0) {
  const world = await AgentWorld.start();
  const first = server("first", 200, port);
  const second = server("second", health, port);
  const one = await world.release(first.tree, first.activation);
  // What is to become healthy gets all the time that a busy machine may need.
  const check = health === 200 ? second.activation.health : shortCheck;
  const two = await world.release(second.tree, { ...second.activation, health: check }, one);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release: one });
  const agent = await world.agent();
  const active = await world.relay.phase("ACTIVE", one.release);
  return { world, one, two, agent, active };
}

const shortCheck = {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how a recipe writes it.
  http: "http://127.0.0.1:${PORT}/healthz",
  command: [],
  withinMs: 1_500,
};

test("a release that never becomes healthy: back to the last good one, with no relay there", async (t) => {
  const { world, one, two } = await twoReleases(500);
  t.after(() => world.stop());
  world.relay.assign({ service, rollout: "r-2", phase: "OPEN", release: two, fallback: one });
  await world.relay.phase("STAGED", two.release);
  const from = world.relay.heard.length;
  world.relay.permit(service, "r-2", two.release);
  await world.relay.phase("CHECKING", two.release, from);
  await world.relay.shut();
  await until("it goes back by itself", async () => {
    assert.equal(await world.answer(), one.release, "the old release answers all the time");
    const state = JSON.parse(readFileSync(join(world.root, service, "state.json"), "utf8"));
    return state.journal.outcome?.kind === "failed";
  });
  await world.relay.open();
  const failed = await world.relay.phase("FAILED", two.release, from);
  assert.match(failed.error, /not healthy within 1500 ms: GET .*: 500/);
  assert.equal(failed.running, one.release);
  assert.equal(failed.permit, "permit-1");
  assert.equal(world.current(), one.release);
});

test("fault 28: a rollout taken back: the last good release returns from disk", async (t) => {
  const { world, one, two } = await twoReleases(200);
  t.after(() => world.stop());
  world.relay.assign({ service, rollout: "r-2", phase: "OPEN", release: two, fallback: one });
  await world.relay.phase("STAGED", two.release);
  world.relay.permit(service, "r-2", two.release);
  await world.relay.phase("ACTIVE", two.release);
  const from = world.relay.heard.length;
  world.relay.assign({ service, rollout: "r-2", phase: "ROLLBACK", release: two, fallback: one });
  const reverted = await world.relay.phase("REVERTED", one.release, from);
  assert.equal(reverted.running, one.release);
  assert.equal(await world.answer(), one.release);
  assert.equal(world.current(), one.release);
});

test("fault 28: a last good release that is gone from disk is fetched", async (t) => {
  const { world, one, two, agent } = await twoReleases(200);
  t.after(() => world.stop());
  world.relay.assign({ service, rollout: "r-2", phase: "FINAL", release: two, fallback: one });
  await world.relay.phase("ACTIVE", two.release);
  await agent.end("SIGKILL");
  rmSync(join(world.root, service, "releases", one.release), { recursive: true });
  await world.agent();
  world.relay.assign({ service, rollout: "r-2", phase: "ROLLBACK", release: two, fallback: one });
  await world.relay.phase("REVERTED", one.release);
  assert.equal(await world.answer(), one.release);
});

test("an agent that is killed or stopped does not touch the service; the next one adopts it", async (t) => {
  const { world, one, agent, active } = await twoReleases(200);
  t.after(() => world.stop());
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    await (signal === "SIGKILL" ? agent : await world.agent()).end(signal);
    assert.equal(await world.answer(), one.release);
  }
  const from = world.relay.heard.length;
  await world.agent();
  const adopted = await world.relay.phase("ACTIVE", one.release, from);
  assert.equal(adopted.pid, active.pid);
  assert.equal(await world.answer(), one.release);
  const dead = world.relay.heard.length;
  process.kill(active.pid, "SIGKILL");
  const fits = (status: { pid: number }): boolean => status.pid !== 0 && status.pid !== active.pid;
  await world.relay.status("another process", fits, dead);
  await until("it answers", async () => (await world.answer()) === one.release);
});

test("a service that ends is started again, and the agent ends it where it is told to", async (t) => {
  const { world, one, agent, active } = await twoReleases(200);
  t.after(() => world.stop());
  const from = world.relay.heard.length;
  process.kill(active.pid, "SIGKILL");
  const down = await world.relay.status("down", (status) => !status.healthy, from);
  assert.match(down.error, /was ended by SIGKILL/);
  const fits = (status: { pid: number }): boolean => status.pid !== 0 && status.pid !== active.pid;
  await world.relay.status("another process", fits, from);
  await agent.end("SIGTERM");
  const stopping = await world.agent({ flags: ["--stop-services"] });
  await world.relay.status("connected", (status) => status.running === one.release, from);
  await stopping.end("SIGTERM");
  assert.equal(await world.answer(), undefined);
});

test("no release: the service is stopped and removed", async (t) => {
  const { world, active } = await twoReleases(200);
  t.after(() => world.stop());
  const from = world.relay.heard.length;
  world.relay.assign({ service, rollout: "r-3", phase: "FINAL", release: undefined });
  await world.relay.phase("STOPPED", "", from);
  assert.ok(!existsSync(join(world.root, service, "current")));
  assert.throws(() => process.kill(active.pid, 0));
});

test("a hook is run at the switch, and the old release's when the new one's fails", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const seen = join(world.folder, "seen");
  const hook = (name: string, code: number) => ({
    tree: {
      "hook.js": {
        file: `require("node:fs").appendFileSync(${JSON.stringify(seen)}, "${name} ");process.exit(${code})`,
      },
    },
    activation: { exec: [], hook: ["node", "hook.js"], health: undefined, port: 0, drainMs: 0 },
  });
  const good = hook("good", 0);
  const bad = hook("bad", 3);
  const one = await world.release(good.tree, good.activation);
  const two = await world.release(bad.tree, bad.activation);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release: one });
  await world.agent();
  await world.relay.phase("ACTIVE", one.release);
  world.relay.assign({ service, rollout: "r-2", phase: "FINAL", release: two });
  const failed = await world.relay.phase("FAILED", two.release);
  assert.match(failed.error, /hook node: exit code 3/);
  assert.equal(world.current(), one.release);
  assert.equal(readFileSync(seen, "utf8"), "good bad good ");
});

const STEPS = [
  "agent.after-fetch",
  "agent.mid-stage",
  "agent.after-stage",
  "agent.before-start",
  "agent.after-start",
  "agent.before-switch",
  "agent.after-switch",
  "agent.before-drain",
  "agent.after-drain",
];

for (const failpoint of STEPS) {
  test(`fault 25: killed at ${failpoint}: old or new runs, and the next life finishes`, async (t) => {
    const { world, one, two, agent } = await twoReleases(200);
    t.after(() => world.stop());
    await agent.end("SIGTERM");
    const dying = await world.agent({ failpoint });
    world.relay.assign({ service, rollout: "r-2", phase: "FINAL", release: two });
    assert.equal(await dying.exited, "SIGKILL");
    const known = [one.release, two.release];
    assert.ok(known.includes(world.current()));
    assert.ok(known.includes((await world.answer()) ?? "nothing"), "one of the two answers");
    const from = world.relay.heard.length;
    await world.agent();
    await world.relay.phase("ACTIVE", two.release, from);
    assert.equal(await world.answer(), two.release);
    assert.equal(world.current(), two.release);
    assert.deepEqual(world.running(), [two.release]);
  });
}

test("fault 25: killed in the middle of a health check: the next life checks again, and goes back", async (t) => {
  const { world, one, two, agent } = await twoReleases(500);
  t.after(() => world.stop());
  const from = world.relay.heard.length;
  world.relay.assign({ service, rollout: "r-2", phase: "FINAL", release: two });
  await world.relay.phase("CHECKING", two.release, from);
  assert.equal(await agent.end("SIGKILL"), "SIGKILL");
  assert.deepEqual(world.running().sort(), [one.release, two.release].sort());
  assert.equal(world.current(), one.release);
  assert.equal(await world.answer(), one.release);
  const next = world.relay.heard.length;
  await world.agent();
  await world.relay.phase("CHECKING", two.release, next);
  await world.relay.phase("FAILED", two.release, next);
  assert.equal(world.current(), one.release);
  assert.equal(await world.answer(), one.release);
  assert.deepEqual(world.running(), [one.release]);
});

test("fault 25: killed while going back: the next life goes on going back", async (t) => {
  const { world, one, two, agent } = await twoReleases(500);
  t.after(() => world.stop());
  await agent.end("SIGTERM");
  const dying = await world.agent({ failpoint: "agent.mid-revert" });
  world.relay.assign({ service, rollout: "r-2", phase: "FINAL", release: two });
  assert.equal(await dying.exited, "SIGKILL");
  assert.equal(await world.answer(), one.release);
  const from = world.relay.heard.length;
  await world.agent();
  await world.relay.phase("FAILED", two.release, from);
  assert.equal(world.current(), one.release);
  assert.equal(await world.answer(), one.release);
  assert.deepEqual(world.running(), [one.release]);
});

test("fault 28: the last good release has turned bad: what runs runs on, and the error says so", async (t) => {
  const { world, one, two } = await twoReleases(200);
  t.after(() => world.stop());
  world.relay.assign({ service, rollout: "r-2", phase: "OPEN", release: two, fallback: one });
  await world.relay.phase("STAGED", two.release);
  world.relay.permit(service, "r-2", two.release);
  const active = await world.relay.phase("ACTIVE", two.release);
  assert.equal(active.lastGood, one.release);
  writeFileSync(join(world.root, service, "releases", one.release, "health"), "500");
  const from = world.relay.heard.length;
  const bad = { ...one, activation: { ...(one.activation as Activation), health: shortCheck } };
  world.relay.assign({ service, rollout: "r-2", phase: "ROLLBACK", release: two, fallback: bad });
  const failed = await world.relay.phase("FAILED", one.release, from);
  assert.match(failed.error, /not healthy within .*: 500/);
  assert.deepEqual([failed.running, failed.pid], [two.release, active.pid]);
  assert.equal(world.current(), two.release);
  assert.equal(await world.answer(), two.release);
  assert.deepEqual(world.running(), [two.release]);
});

test("a fixed port is handed over even where the agent is killed in the middle of it", async (t) => {
  const [port = 0] = await freePorts(1);
  const { world, two, agent } = await twoReleases(200, port);
  t.after(() => world.stop());
  await agent.end("SIGTERM");
  const dying = await world.agent({ failpoint: "agent.after-start" });
  world.relay.assign({ service, rollout: "r-2", phase: "FINAL", release: two });
  assert.equal(await dying.exited, "SIGKILL");
  // No agent is there: the new process ends the old one by itself.
  const isAnswered = async () => (await world.answer()) === two.release;
  await until(() => `the new one answers; ${world.describe()}`, isAnswered);
  await world.agent();
  await world.relay.phase("ACTIVE", two.release);
  assert.equal(readFileSync(join(world.root, service, "port"), "utf8").trim(), String(port));
});
