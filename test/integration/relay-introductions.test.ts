// Whom a relay introduces to whom in the swarm of a pack, and how often it answers.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { AgentHello, Neighbour } from "../../proto/gen/millrace/v1/fleet.ts";
import { until } from "../lab/until.ts";
import { type RelayProcess, RelayWorld } from "./relay-process.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

describe("a relay", { timeout: 120_000 }, () => {
  let world: RelayWorld;
  let relay: RelayProcess;
  const agents: ScriptedAgent[] = [];

  /** An agent that has joined the swarm of a pack, in a zone or a rack of it (`zone/rack`). */
  function join(id: string, pack: string, place: string, over: Partial<AgentHello> = {}) {
    const [zone = "", rack = ""] = place.split("/");
    const hello = { agent: id, labels: { zone, rack }, swarmAddress: "127.0.0.1:5001", ...over };
    const one = new ScriptedAgent(relay.address, hello);
    agents.push(one);
    one.send({ $case: "swarm", swarm: { pack, joined: true, hungry: false } });
    return one;
  }

  /** All agents that one was told of so far. */
  function known({ commands }: ScriptedAgent): string[] {
    const peers = commands.all.flatMap((one) =>
      one.$case === "neighbours" ? one.neighbours.neighbours : [],
    );
    return peers.filter((one) => !one.relay).map(({ peer }) => peer);
  }

  const isTold = (one: ScriptedAgent, peer: string) =>
    one.command("neighbours", ({ neighbours }) =>
      neighbours.neighbours.some((each: Neighbour) => each.peer === peer),
    );

  before(async () => {
    world = await RelayWorld.start();
    relay = await world.relay({ name: "relay", capacity: 50 });
    await world.control.line(relay.id);
  });
  after(async () => {
    for (const one of agents) one.close();
    await world.stop();
  });

  test("tells a newcomer of its rack and zone first, and those whom it tells of it", async () => {
    const pack = "b-7.1";
    const joinAll = (count: number, name: string, place: string) =>
      Array.from({ length: count }, (_, at) => join(`${name}-${at}`, pack, place));
    const far = joinAll(20, "far", "far/1");
    const near = joinAll(2, "near", "near/2");
    const beside = joinAll(2, "beside", "near/1");
    const members = [...far, ...near, ...beside];
    await Promise.all(members.map((one) => one.command("neighbours")));
    const newcomer = join("p-newcomer", pack, "near/1");
    await newcomer.command("neighbours");
    const met = known(newcomer);
    assert.equal(met.length, 8);
    for (const { id } of [...beside, ...near]) assert(met.includes(id), `${id} is of its zone`);
    for (const one of members) if (met.includes(one.id)) await isTold(one, newcomer.id);

    // Who cannot be dialled is told to nobody; the lesser of two dials at once by itself.
    const silent = join("q-silent", pack, "near", { swarmAddress: "" });
    const lesser = join("a-lesser", pack, "near");
    await Promise.all([silent, lesser].map((one) => one.command("neighbours")));
    const last = join("z-last", pack, "near");
    await last.command("neighbours");
    for (const one of members) {
      if (!known(last).includes(one.id)) continue;
      await isTold(one, last.id);
      assert(!known(one).includes(silent.id), `${one.id} is told of who cannot be dialled`);
      assert(!known(one).includes(lesser.id), `${one.id} is told of who dials it`);
    }
  });

  test("threat 10: answers about once a second, however often one asks, leaves and comes again", async () => {
    const pack = "b-8.1";
    await join("known", pack, "").command("neighbours");
    const since = performance.now();
    const asker = join("asker", pack, "");
    const say = (joined: boolean, hungry: boolean) =>
      asker.send({ $case: "swarm", swarm: { pack, joined, hungry } });
    for (let times = 0; times < 100; times += 1) {
      say(true, true);
      say(false, false);
      say(true, false);
    }
    await until("it is answered when it may be", () => asker.count("neighbours") >= 2);
    const seconds = (performance.now() - since) / 1_000;
    const answers = asker.count("neighbours");
    assert(answers <= 2 + seconds, `${answers} answers in ${seconds} s`);
    assert.deepEqual(new Set(known(asker)), new Set(["known"]));
  });
});
