// A real agent and leaders of old: what comes late by its relay is refused and counted, also after a restart.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readMetric } from "../../runtime/program/read-metric.ts";
import { until } from "../lab/until.ts";
import { AgentWorld, SERVICE, server } from "./agent-world.ts";

const service = SERVICE;

test("threat 25: an agent refuses and counts what a leader of old says, whatever relay brings it", async (t) => {
  const world = await AgentWorld.start();
  t.after(() => world.stop());
  const first = server("first");
  const second = server("second");
  const one = await world.release(first.tree, first.activation);
  const two = await world.release(second.tree, second.activation, one);
  world.relay.assign({ service, rollout: "r-1", phase: "FINAL", release: one, epoch: 5 });
  const flags = ["--metrics-port", "0"];
  const refused = ({ metrics }: { metrics: number }) =>
    readMetric(metrics, "millrace_agent_refused");
  let agent = await world.agent({ flags });
  const { pid } = await world.relay.phase("ACTIVE", one.release);
  assert.equal(await refused(agent), 0);

  // Higher revisions of a lower epoch, and a permit: the leader that stood still speaks.
  const stale = { service, rollout: "r-2", phase: "OPEN", release: two, fallback: one } as const;
  world.relay.assign({ ...stale, epoch: 4 });
  world.relay.permit(service, "r-1", one.release, 4);
  await until("both to be refused", async () => (await refused(agent)) === 2);

  // The next life holds the same to be the highest; the relay's snapshot is the stale one now.
  const from = world.relay.heard.length;
  await agent.end("SIGKILL");
  agent = await world.agent({ flags });
  await until("the snapshot to be refused", async () => (await refused(agent)) === 1);
  world.relay.assign({ ...stale, phase: "FINAL", epoch: 4 });
  await until("the last word to be refused", async () => (await refused(agent)) === 2);
  assert.equal(world.current(), one.release);
  const wanted = world.relay.heard.slice(from).filter(({ release }) => release === two.release);
  assert.deepEqual(wanted, [], "not even fetched");

  // An equal epoch and a later revision is the leader's own word.
  world.relay.assign({ ...stale, phase: "FINAL", epoch: 5 });
  const next = await world.relay.phase("ACTIVE", two.release);
  assert.notEqual(next.pid, pid);
  assert.equal(await refused(agent), 2);
});
