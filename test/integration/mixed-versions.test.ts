// A relay between a control plane and a machine of other versions: it is told what it does not know, and goes on
// with what it knows.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { RelayWorld } from "./relay-process.ts";
import { ScriptedAgent, statusOf } from "./scripted-agent.ts";

let world: RelayWorld;
before(async () => {
  world = await RelayWorld.start();
});
after(() => world.stop());

test("a relay passes over what later versions say, and serves a machine of an earlier one", async () => {
  const relay = await world.relay({ name: "mixed" });
  const line = await world.control.line(relay.id);
  const agent = new ScriptedAgent(relay.address, { agent: "agent-old", version: "0.0.9" });
  await agent.command("welcome");
  // An oneof of a later version arrives as none at all.
  line.send(undefined as never);
  agent.send(undefined as never);
  agent.status(statusOf({ service: "hello" }));
  const pack = "b-0000000000000001.1";
  const of = { build: "b-0000000000000001", attempt: 1, pack, service: "hello", targets: {} };
  const rest = { excludedRegions: [], traceparent: "", urgent: false };
  const order = { ...of, ...rest, id: pack, epoch: 1 };
  line.send({ $case: "order", order });
  assert.equal((await agent.command("order")).order.pack, pack);
  const report = await line.report("one machine", ({ agents }) => agents === 1);
  assert.ok(report.clockMs > 0, "it tells its clock");
  agent.close();
  assert.equal(await relay.end("SIGTERM"), 0);
});
