// Two relays of a region: an agent that has come from one to the other is one relay's only.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { AgentHello } from "../../proto/gen/millrace/v1/fleet.ts";
import { type RelayProcess, RelayWorld } from "./relay-process.ts";
import { ScriptedAgent } from "./scripted-agent.ts";
import type { RelayLine } from "./scripted-control-plane.ts";

describe("agents that change their relay", { timeout: 120_000 }, () => {
  let world: RelayWorld;
  let relays: [RelayProcess, RelayProcess];
  let lines: [RelayLine, RelayLine];
  const agents: ScriptedAgent[] = [];

  /** An agent that a relay has welcomed. */
  async function welcomed(relay: RelayProcess, over: Partial<AgentHello> & { agent: string }) {
    const one = new ScriptedAgent(relay.address, over);
    agents.push(one);
    await one.command("welcome");
    return one;
  }

  before(async () => {
    world = await RelayWorld.start();
    relays = [await world.relay({ name: "here" }), await world.relay({ name: "there" })];
    lines = [await world.control.line(relays[0].id), await world.control.line(relays[1].id)];
    const all = lines.map((line) => line.info());
    for (const line of lines) line.send({ $case: "siblings", siblings: { relays: all } });
  });
  after(async () => {
    for (const one of agents) one.close();
    await world.stop();
  });

  test("fault 24: are let go of by the one that has not noticed, whichever of the two that is", async () => {
    const [here, there] = relays;
    const first = await welcomed(here, { agent: "mover", connect: 1 });
    const second = await welcomed(there, { agent: "mover", connect: 2, relayBefore: here.id });
    assert.match(await first.ended(), /connected to another relay/);
    await lines[0].report("nobody", (last) => last.agents === 0);
    await welcomed(here, { agent: "mover", connect: 3, relayBefore: there.id });
    assert.match(await second.ended(), /connected to another relay/);
    await lines[1].report("nobody", (last) => last.agents === 0);
    await lines[0].report("the agent", (last) => last.agents === 1);
  });

  test("are not let go of for a session that is older", async () => {
    const [here, there] = relays;
    const older = { agent: "late", connect: 1, relayBefore: here.id };
    const newer = await welcomed(here, { agent: "late", connect: 2 });
    const stale = await welcomed(there, older);
    assert.match(await stale.ended(), /connected to another relay/);
    assert.equal(newer.count("reconnect"), 0);
    await lines[0].report("both agents", (last) => last.agents === 2);
  });
});
