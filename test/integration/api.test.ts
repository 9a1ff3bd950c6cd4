// The API as a build system finds it that has an address and nothing else: everything is asked of the
// server, and no request, however wrong, gets an internal error, hangs, or ends the server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { Lab } from "../lab/lab.ts";
import { hookSample } from "../lab/sample-service.ts";
import { nastyRequests } from "./api-requests.ts";
import { endOf, type Message, Stranger } from "./api-stranger.ts";

/** Largest message that is taken: 256 KiB. */
const MESSAGE_BYTES_MAX = 256 * 1024;

const lab = new Lab();
let plane: Stranger;
let relay: Stranger;

before(async () => {
  const system = await lab.start({ regions: 1, agents: 1 });
  plane = await Stranger.meet(system.address);
  relay = plane.at(await relayAddress());
});
after(async () => {
  relay?.close();
  plane?.close();
  await lab.close();
});

async function relayAddress(): Promise<string> {
  const { answer } = await plane.call("millrace.v1.FleetService/LocateRelays", {});
  const [first] = answer["relays"] as { address: string }[];
  assert.ok(first !== undefined, "a relay is online");
  return first.address;
}

async function agents(): Promise<unknown[]> {
  const { answer } = await plane.call("millrace.v1.FleetService/ListAgents", {});
  return answer["agents"] as unknown[];
}

test("the server lists the services that it serves, and health", () => {
  const names = ["Build", "Diagnosis", "Fleet", "Garbage", "History", "Leadership", "Relay"];
  const more = ["Release", "Rollout", "Worker"];
  const expected = [...names, ...more].map((name) => `millrace.v1.${name}Service`);
  assert.deepEqual([...plane.services].sort(), ["grpc.health.v1.Health", ...expected]);
});

test("a build is submitted and watched to its end", async () => {
  const repository = lab.repository("hooked");
  const sha = repository.commit(hookSample({ service: "hooked", version: "1" }));
  const request = { repository: repository.path, ref: "main", ship: {} };
  const submitted = await plane.call("millrace.v1.BuildService/SubmitBuild", request);
  assert.equal(submitted.code, status.OK, submitted.details);
  const { id } = submitted.answer["build"] as { id: string };
  const states: Message[] = [];
  const watch = plane.read("millrace.v1.BuildService/WatchBuild", { id });
  watch.on("data", ({ build }: { build: Message }) => states.push(build));
  assert.equal((await endOf(watch)).code, status.OK);
  const last = states.at(-1);
  assert.equal(last?.["state"], "BUILD_STATE_SUCCEEDED");
  assert.equal(last?.["sha"], sha);
  const rollout = { id: last?.["rollout"] };
  const followed = plane.read("millrace.v1.RolloutService/WatchRollout", rollout);
  let ended: Message | undefined;
  followed.on("data", (message: Message) => {
    ended = message["rollout"] as Message;
  });
  assert.equal((await endOf(followed)).code, status.OK);
  assert.equal(ended?.["state"], "ROLLOUT_STATE_SUCCEEDED");
});

test("control plane and relay say that they serve", async () => {
  for (const server of [plane, relay]) {
    const { answer, details } = await server.call("grpc.health.v1.Health/Check", {});
    assert.equal(answer["status"], "SERVING", details);
  }
});

/** Calls whose empty request is a good one; every other must be refused for what is in it. */
const ASK_NOTHING = [
  "BuildService/ListBuilds",
  "ReleaseService/ListReleases",
  "RolloutService/ListRollouts",
  "FleetService/ListRegions",
  "FleetService/ListAgents",
  "FleetService/LocateRelays",
  "FleetService/GetStatus",
  "LeadershipService/GetLeader",
  "DiagnosisService/Diagnose",
  "LeadershipService/ReviewRestore",
  "GarbageService/CollectGarbage",
  "HistoryService/ListHistory",
].map((name) => `millrace.v1.${name}`);

const REFUSALS = [status.INVALID_ARGUMENT, status.NOT_FOUND, status.FAILED_PRECONDITION];

test("an empty request is answered, or refused for what it lacks", async () => {
  const answers = await Promise.all(callable().map((name) => answerTo(name, {})));
  assert.ok(answers.length > 25, "all methods are called");
  for (const { name, code, details } of answers) {
    if (ASK_NOTHING.includes(name)) assert.equal(code, status.OK, `${name}: ${details}`);
    else assert.ok(REFUSALS.includes(code), `${name}: ${status[code]} ${details}`);
    if (code !== status.OK) assert.ok(details.length > 5, `${name} says why`);
  }
});

const ALLOWED = [...REFUSALS, status.OK, status.ABORTED];

const NASTY = [
  "\u0000",
  "../../etc/passwd",
  "a/b",
  "-x",
  " ",
  "🜏",
  "%s$(id)`id`",
  "f".repeat(40),
  "0".repeat(64),
  "b-0000000000000000",
  "r-0000000000000000",
  "A".repeat(5_000),
  "é".repeat(60_000),
  "🜏".repeat(200),
  "x".repeat(MESSAGE_BYTES_MAX - 20),
];

for (const text of NASTY) {
  test(`nothing breaks where every field is ${JSON.stringify(text.slice(0, 20))}`, async () => {
    const requests = plane.methods
      .filter(([name]) => callable().includes(name))
      .flatMap(([name, { requestType }]) =>
        nastyRequests(requestType, text).map((request) => answerTo(name, request)),
      );
    const broken = (await Promise.all(requests)).filter(({ code, details }) => {
      const isOver = code === status.RESOURCE_EXHAUSTED && details.includes("larger than max");
      return !isOver && !ALLOWED.includes(code);
    });
    assert.deepEqual(
      broken.map(({ name, code, details }) => `${name}: ${status[code]} ${details}`),
      [],
    );
  });
}

test("a message over 256 KiB is refused, one below it is read, and the server lives on", async () => {
  const submit = "millrace.v1.BuildService/SubmitBuild";
  const wants = { repository: "/nowhere", ref: "main", service: "x" };
  const over = await plane.call(submit, { ...wants, recipe: "x".repeat(MESSAGE_BYTES_MAX) });
  assert.equal(over.code, status.RESOURCE_EXHAUSTED, over.details);
  const below = await plane.call(submit, { ...wants, recipe: "x".repeat(MESSAGE_BYTES_MAX - 100) });
  assert.equal(below.code, status.INVALID_ARGUMENT, below.details);
  const id = "x".repeat(MESSAGE_BYTES_MAX);
  for (const [server, name] of [
    [plane, "millrace.v1.RelayService/ConnectRelay"],
    [relay, "millrace.v1.AgentService/ConnectAgent"],
  ] as const) {
    const stream = server.talk(name);
    stream.write({ hello: { relay: id, agent: id } });
    assert.equal((await endOf(stream)).code, status.RESOURCE_EXHAUSTED, name);
  }
  const { code } = await plane.call("millrace.v1.FleetService/GetStatus", {});
  assert.equal(code, status.OK);
});

const GOOD_AGENT = { agent: "agent-ghost", boot: "1", connect: 1, region: "eu-west" };
const GOOD_RELAY = { relay: "relay-ghost", boot: "1", region: "eu-west", address: "127.0.0.1:1" };

const BAD_HELLOS: readonly { readonly what: string; readonly hello: Message }[] = [
  { what: "no id", hello: {} },
  { what: "a path as its id", hello: { agent: "../../x", relay: "../../x" } },
  {
    what: "an id of 5,000 characters",
    hello: { agent: "x".repeat(5_000), relay: "x".repeat(5_000) },
  },
  { what: "a zero byte", hello: { agent: "a\u0000b", relay: "a\u0000b" } },
  { what: "a region that is none", hello: { region: "no region" } },
  { what: "no boot", hello: { boot: "" } },
  { what: "agents that take for ever", hello: { settle_ms: 60_001 } },
  { what: "an address that is none", hello: { swarm_address: "nowhere", address: "nowhere" } },
];

for (const { what, hello } of BAD_HELLOS) {
  test(`a stream that begins with ${what} is refused, whatever it says next`, async () => {
    for (const [server, name, good] of [
      [plane, "millrace.v1.RelayService/ConnectRelay", GOOD_RELAY],
      [relay, "millrace.v1.AgentService/ConnectAgent", GOOD_AGENT],
    ] as const) {
      const stream = server.talk(name);
      stream.write({ hello: Object.keys(hello).length === 0 ? {} : { ...good, ...hello } });
      stream.write({ hello: good });
      const { code, details } = await endOf(stream);
      assert.equal(code, status.INVALID_ARGUMENT, `${name}: ${details}`);
    }
    assert.equal((await agents()).length, 1, "nobody has joined");
    const { answer } = await plane.call("millrace.v1.FleetService/ListRegions", {});
    const [region, ...others] = answer["regions"] as { relays: unknown[] }[];
    assert.deepEqual(
      [region?.relays.length, others.length],
      [1, 0],
      "no relay is known that is none",
    );
  });
}

/** Names of the methods that take one request. */
function callable(): string[] {
  return plane.methods
    .filter(([name, { requestStream }]) => !requestStream && !name.startsWith("grpc."))
    .map(([name]) => name);
}

async function answerTo(name: string, request: Message) {
  const [, method] = plane.methods.find(([known]) => known === name) ?? [];
  if (method?.responseStream !== true) return { name, ...(await plane.call(name, request)) };
  return { name, ...(await endOf(plane.read(name, request))) };
}
