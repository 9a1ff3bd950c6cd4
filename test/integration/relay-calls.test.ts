// How relays pass steps of calls on: between members of a swarm and nobody else, within one relay and from
// one relay to its sibling, in the name of who speaks and no oftener than is good.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type AgentHello, PeerSignal } from "../../proto/gen/millrace/v1/fleet.ts";
import { until } from "../lab/until.ts";
import { type RelayProcess, RelayWorld } from "./relay-process.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

const PACK = "b-1.1";
const CALL = "c0".repeat(16);
const END = {
  ufrag: "abcd",
  password: "p".repeat(24),
  fingerprint: Buffer.alloc(32, 1),
  addresses: [{ host: "127.0.0.1", port: 40_000, priority: 1 }],
};

const step = (to: string, over: Partial<PeerSignal> = {}): PeerSignal =>
  PeerSignal.fromPartial({
    pack: PACK,
    call: CALL,
    to,
    step: { $case: "ask", ask: true },
    ...over,
  });

describe("steps of calls", { timeout: 120_000 }, () => {
  let world: RelayWorld;
  let here: RelayProcess;
  let there: RelayProcess;
  const agents: ScriptedAgent[] = [];

  /** An agent that takes calls and has joined the swarm. */
  function agent(relay: RelayProcess, id: string, over: Partial<AgentHello> = {}): ScriptedAgent {
    const one = new ScriptedAgent(relay.address, { agent: id, callable: true, ...over });
    one.send({ $case: "swarm", swarm: { pack: PACK, joined: true, hungry: false } });
    agents.push(one);
    return one;
  }
  const say = (one: ScriptedAgent, signal: PeerSignal): void =>
    one.send({ $case: "signal", signal });
  const hear = async (one: ScriptedAgent, kind: string, from?: string): Promise<PeerSignal> => {
    const { signal } = await one.command(
      "signal",
      ({ signal: said }) => said.step?.$case === kind && (from === undefined || said.from === from),
    );
    return signal;
  };
  const refusal = async (one: ScriptedAgent, reason: RegExp): Promise<void> => {
    await one.command(
      "signal",
      ({ signal }) => signal.step?.$case === "refusal" && reason.test(signal.step.refusal),
    );
  };

  before(async () => {
    world = await RelayWorld.start();
    here = await world.relay({ name: "here" });
    there = await world.relay({ name: "there" });
    const lines = await Promise.all([here, there].map(({ id }) => world.control.line(id)));
    const relays = lines.map((line) => line.info());
    for (const line of lines) line.send({ $case: "siblings", siblings: { relays } });
  });
  after(async () => {
    for (const one of agents) one.close();
    await world.stop();
  });

  test("threat 23: go to whom they are for, in the name of who speaks, whatever that one wrote", async () => {
    const one = agent(here, "one");
    const two = agent(here, "two");
    await Promise.all([one, two].map((each) => each.command("neighbours")));
    const [key, signature] = [Buffer.alloc(32, 2), Buffer.alloc(64, 3)];
    say(one, step("two", { from: "three", fromRelay: "elsewhere", key, signature }));
    const asked = await hear(two, "ask");
    assert.deepEqual([asked.from, asked.fromRelay, asked.call], ["one", here.id, CALL]);
    assert.deepEqual([asked.key, asked.signature], [key, signature], "the proof is not passed on");
    say(two, step("one", { nonce: CALL, step: { $case: "offer", offer: END } }));
    const offered = await hear(one, "offer", "two");
    assert.deepEqual(offered.step, { $case: "offer", offer: END });
  });

  test("go from one relay to the other, and back", async () => {
    const far = agent(there, "far");
    await far.command("neighbours");
    const near = agent(here, "near");
    await near.command("neighbours");
    // Relays tell each other once a second.
    await until("the far one is told", () => {
      near.send({ $case: "swarm", swarm: { pack: PACK, joined: true, hungry: true } });
      return near.commands.all.some(
        (one) =>
          one.$case === "neighbours" &&
          one.neighbours.neighbours.some(({ peer, callable }) => peer === "far" && callable),
      );
    });
    say(near, step("far"));
    const asked = await hear(far, "ask");
    assert.deepEqual([asked.from, asked.fromRelay], ["near", here.id]);
    const reply = { toRelay: asked.fromRelay, nonce: CALL } as const;
    say(far, step("near", { ...reply, step: { $case: "offer", offer: END } }));
    assert.equal((await hear(near, "offer")).fromRelay, there.id);
  });

  test("threat 10: are refused where the other is not there, or not in the swarm, or called too often", async () => {
    const caller = agent(here, "caller");
    const listener = agent(here, "deaf", { callable: false, swarmAddress: "127.0.0.1:5009" });
    await Promise.all([caller, listener].map((each) => each.command("neighbours")));
    say(caller, step("nobody"));
    await refusal(caller, /no relay knows/);
    say(caller, step("deaf"));
    await refusal(caller, /takes no calls/);
    say(caller, step("one", { pack: "b-2.1" }));
    await refusal(caller, /you are not in that swarm/);
    const target = agent(here, "target");
    await target.command("neighbours");
    for (let call = 0; call < 200; call += 1) say(caller, step("target"));
    await refusal(caller, /too often/);
    assert(target.count("signal") <= 70, `${target.count("signal")} steps came`);
    assert.equal(listener.count("signal"), 0);
  });

  test("that break a rule end the stream of who says them", async () => {
    const bad: PeerSignal[] = [
      step("one", { call: "short" }),
      step("../one"),
      step("one", { step: undefined }),
      step("one", { nonce: CALL, step: { $case: "answer", answer: { ...END, password: "\r\n" } } }),
      step("one", { signature: Buffer.alloc(65) }),
      step("one", { key: Buffer.alloc(31) }),
      step("one", { nonce: "", step: { $case: "answer", answer: END } }),
    ];
    await Promise.all(
      bad.map(async (signal, at) => {
        const one = agent(here, `bad-${at}`);
        say(one, signal);
        assert.match(await one.ended(), /INVALID_ARGUMENT.*breaks its rules|says nothing/);
      }),
    );
  });
});
