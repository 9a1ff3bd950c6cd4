// What a relay tells its agents, and what it makes of what they and the control plane say.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PIECE_ROW_BYTES } from "../../core/release/piece-table.ts";
import { WAVE_HASH_END, waveHash } from "../../core/rollout/wave-hash.ts";
import { Assignment, AssignmentPhase, ServicePhase } from "../../proto/gen/millrace/v1/fleet.ts";
import { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { until } from "../lab/until.ts";
import { type RelayProcess, RelayWorld, writePack } from "./relay-process.ts";
import { ScriptedAgent, statusOf } from "./scripted-agent.ts";
import type { Command, RelayLine } from "./scripted-control-plane.ts";

const RELEASE = "ab".repeat(32);
const ROLLOUT = "r-1";

const assigned = (over: Partial<Assignment> = {}, revision = 5, epoch = 1): Command => {
  const assignment = Assignment.fromPartial({
    service: "hello",
    epoch,
    revision,
    rollout: ROLLOUT,
    release: Release.fromPartial({ release: RELEASE, service: "hello" }),
    targets: { role: "web" },
    phase: AssignmentPhase.ASSIGNMENT_PHASE_OPEN,
    waves: [{ threshold: WAVE_HASH_END, regions: [], labels: {} }],
  });
  return {
    $case: "assignments",
    assignments: { service: "hello", epoch, revision, assignments: [{ ...assignment, ...over }] },
  };
};

const quota = (count: number, epoch = 1): Command => ({
  $case: "quota",
  quota: { rollout: ROLLOUT, epoch, wave: 0, quota: count, together: count, ttlMs: 60_000 },
});

const snapshotEnd = (epoch = 1): Command => ({ $case: "snapshotEnd", snapshotEnd: { epoch } });

const WEB = { role: "web" };
const STAGED = { phase: ServicePhase.SERVICE_PHASE_STAGED };
const ACTIVE = { phase: ServicePhase.SERVICE_PHASE_ACTIVE, running: RELEASE };

describe("a relay's agents", { timeout: 240_000 }, () => {
  let world: RelayWorld;
  let relay: RelayProcess;
  let line: RelayLine;
  const agents: ScriptedAgent[] = [];
  const agent = (
    id: string,
    over: Partial<ConstructorParameters<typeof ScriptedAgent>[1]> = {},
  ) => {
    const one = new ScriptedAgent(relay.address, { agent: id, labels: WEB, ...over });
    agents.push(one);
    return one;
  };
  before(async () => {
    world = await RelayWorld.start();
    relay = await world.relay({ name: "relay", capacity: 20 });
    line = await world.control.line(relay.id);
    line.send(assigned(), snapshotEnd());
    await line.report("the rollout", ({ rollouts }) => rollouts.length === 1);
  });
  after(async () => {
    for (const one of agents) one.close();
    await world.stop();
  });

  test("are welcomed, and told what concerns them", async () => {
    const order = {
      id: "b-0000000000000009.1",
      epoch: 1,
      build: "b-0000000000000009",
      attempt: 1,
      pack: "b-0000000000000009.1",
      service: "hello",
      targets: { role: "db" },
      excludedRegions: [],
      traceparent: "",
      urgent: false,
    };
    line.send({ $case: "order", order });
    const web = agent("agent-web");
    const db = agent("agent-db", { labels: { role: "db" } });
    assert.equal((await web.command("welcome")).welcome.relay, relay.id);
    await web.command("snapshotEnd");
    await db.command("order");
    await db.command("snapshotEnd");
    assert.deepEqual([web.count("assignments"), web.count("order")], [1, 0]);
    assert.deepEqual([db.count("assignments"), db.count("order")], [0, 1]);
    line.send({
      $case: "orderEnded",
      orderEnded: { id: "b-0000000000000009.1", pack: "b-0000000000000009.1", keep: false },
    });
    await db.command("orderEnded");
    assert.equal(web.count("orderEnded"), 0);
    web.close();
    db.close();
  });

  test("are refused where their hello breaks a limit", async () => {
    const labels = Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`l${at}`, "x"]));
    const wrong: [string, Parameters<typeof agent>[1], RegExp][] = [
      ["agent-a", { labels }, /labels: 65 of them, the limit is 64/],
      ["agent/../a", {}, /agent "agent\/\.\.\/a" must be/],
      ["agent-b", { region: "us" }, /region is "us", this relay serves "eu"/],
      ["agent-c", { swarmAddress: "nowhere" }, /swarm_address.*"nowhere"/],
      ["agent-d", { labels: { a: "x".repeat(300) } }, /labels\.a .* 300 characters.* 256/],
      ["agent-e", { services: [statusOf({ release: "zz" })] }, /release "zz" is not 64 hex/],
    ];
    for (const [id, over, reason] of wrong) {
      const error = await agent(id, over).ended();
      assert.match(error, /INVALID_ARGUMENT/);
      assert.match(error, reason);
    }
  });

  test("have one session each: the latest, whatever comes later of an older one", async () => {
    const first = agent("agent-twice", { connect: 1 });
    await first.command("welcome");
    const second = agent("agent-twice", { connect: 2 });
    await second.command("welcome");
    assert.match(await first.ended(), /newer session/);
    assert.match(await agent("agent-twice", { connect: 1 }).ended(), /ABORTED.*newer session/);
    const rebooted = agent("agent-twice", { boot: "boot-2", startedAtMs: 2, connect: 1 });
    await rebooted.command("welcome");
    assert.match(await second.ended(), /newer session/);
    const report = await line.report("one agent", ({ rollouts }) => rollouts[0]?.matching === 1);
    assert.equal(report.agents, 1);
    rebooted.close();
    await line.report("no agent", (last) => last.agents === 0);
  });

  test("get a pack's rows and neighbours when they join its swarm", async () => {
    const pack = await writePack(world.origin, "b-0000000000000001.1", {
      pieces: 6,
      pieceBytes: 256 * 1024,
      perSegment: 2,
    });
    line.send({ $case: "siblings", siblings: { relays: [line.info()] } });
    const progress = {
      ...{ pack: pack.pack, segments: 1 },
      ...{ sealed: false, dropped: false, spare: false },
    };
    line.send({ $case: "pack", pack: progress });
    await line.report("a segment", ({ packs }) => packs[0]?.segments === 1);
    const early = agent("agent-early", { swarmAddress: "127.0.0.1:5001" });
    early.send({ $case: "swarm", swarm: { pack: pack.pack, joined: true, hungry: false } });
    const { rows } = await early.command("rows");
    assert.deepEqual([rows.firstPiece, rows.sealed], [0, false]);
    assert.ok(rows.table.equals(pack.rows.subarray(0, 2 * PIECE_ROW_BYTES)));
    const { neighbours } = await early.command("neighbours");
    assert.deepEqual(neighbours.neighbours, [
      { peer: relay.id, address: relay.swarm, relay: true, callable: true },
    ]);
    line.send({ $case: "pack", pack: { ...progress, segments: 3, sealed: true } });
    await early.command("rows", (command) => command.rows.sealed);
    const tables = early.commands.all.flatMap((one) => (one.$case === "rows" ? [one.rows] : []));
    assert.ok(Buffer.concat(tables.map(({ table }) => table)).equals(pack.rows));
    const late = agent("agent-late");
    late.send({ $case: "swarm", swarm: { pack: pack.pack, joined: true, hungry: true } });
    const met = await late.command("neighbours");
    assert.deepEqual(met.neighbours.neighbours.slice(1), [
      { peer: "agent-early", address: "127.0.0.1:5001", relay: false, callable: false },
    ]);
    early.close();
    late.close();
  });

  test("get permits when they are staged, never more than the leader granted", async () => {
    const ids = ["p0", "p1", "p2", "p3", "p4"];
    const staged = ids.map((id) => agent(id, { services: [statusOf(STAGED)] }));
    line.send(quota(2));
    const report = await line.report("two permits out", ({ rollouts }) => {
      const wave = rollouts[0]?.waves[0];
      return wave?.outstanding === 2 && rollouts[0]?.matching === 5;
    });
    assert.equal(report.rollouts[0]?.staged, 3);
    const lowest = ids.toSorted((a, b) => waveHash(a, ROLLOUT) - waveHash(b, ROLLOUT));
    const [one, two] = lowest.map((id) => staged.find((each) => each.id === id) as ScriptedAgent);
    assert.ok(one !== undefined && two !== undefined);
    const { permit } = await one.command("permit");
    assert.deepEqual(
      [permit.rollout, permit.epoch, permit.wave, permit.release],
      [ROLLOUT, 1, 0, RELEASE],
    );
    await two.command("permit");
    one.status({ ...ACTIVE, permit: permit.id });
    two.status({ phase: ServicePhase.SERVICE_PHASE_FAILED, error: "no 2xx in 30 s" });
    const answered = await line.report("two answers", ({ rollouts }) => {
      const wave = rollouts[0]?.waves[0];
      return wave?.succeeded === 1 && wave.failed === 1 && wave.outstanding === 0;
    });
    assert.deepEqual(answered.rollouts[0]?.failing, [
      { agent: two.id, region: "eu", error: "no 2xx in 30 s" },
    ]);
    line.send(quota(2), quota(3));
    await line.report("a third", ({ rollouts }) => rollouts[0]?.waves[0]?.granted === 3);
    // It is granted before it is on disk, and sent after that.
    const permits = (): number => staged.reduce((sum, each) => sum + each.count("permit"), 0);
    await until("the third permit", () => permits() >= 3);
    assert.equal(permits(), 3);
    for (const each of staged) each.close();
    await line.report("no agent", (last) => last.agents === 0);
  });

  test("are counted for a census, and told one by one when asked", async () => {
    const ids = ["c1", "c2", "c3"];
    // Machines of the tests before broke off a moment ago.
    const labels = { ...WEB, of: "census" };
    const present = ids.map((id) => agent(id, { root: `/agents/${id}`, labels }));
    agent("c4", { labels: { ...labels, role: "db" } });
    await line.report("four agents", (report) => report.agents === 4);
    const census = { rollout: "r-9", wave: 0, low: 0, high: WAVE_HASH_END, query: 7 };
    line.send({ $case: "census", census: { ...census, targets: labels, rule: undefined } });
    const answer = await line.messages.find("census", (message) =>
      message.$case === "census" ? message.census : undefined,
    );
    const hashes = ids.map((id) => waveHash(id, "r-9")).toSorted((a, b) => a - b);
    assert.deepEqual([answer.query, answer.total, answer.lowest], [7, 3, hashes]);
    assert.equal(answer.counts.length, 256);
    for (const hash of hashes) assert.ok((answer.counts[Math.floor(hash / 2 ** 40)] ?? 0) > 0);
    const query = { query: 8, prefix: "c", after: "c1", limit: 2, failingOnly: false };
    line.send({ $case: "agents", agents: query });
    const told = await line.messages.find("agents", (message) =>
      message.$case === "agents" ? message.agents : undefined,
    );
    assert.deepEqual(
      [told.query, told.last, told.agents.map(({ id, root }) => `${id} ${root}`)],
      [8, true, ["c2 /agents/c2", "c3 /agents/c3"]],
    );
    for (const each of present) each.close();
    await line.report("one agent", (report) => report.agents === 1);
    const again = { ...census, query: 9, targets: labels, rule: undefined };
    line.send({ $case: "census", census: again });
    const later = await line.messages.find(
      "census",
      (message) => message.$case === "census" && message.census.query === 9 && message.census,
    );
    assert.equal(later.total, 3, "machines that broke off a moment ago count");
  });

  test("more than the capacity are sent elsewhere; a graceful stop sends all away", async () => {
    await line.report("one agent", (report) => report.agents === 1);
    const taken = Array.from({ length: 19 }, (_, at) => agent(`full-${at}`));
    await Promise.all(taken.map((one) => one.command("welcome")));
    const refused = agent("agent-refused");
    assert.ok((await refused.command("reconnect")).reconnect.afterMs > 0);
    assert.match(await refused.ended(), /RESOURCE_EXHAUSTED/);
    const code = relay.end("SIGTERM");
    await Promise.all(taken.map((one) => one.command("reconnect")));
    assert.equal(await code, 0);
  });

  test("reports came at most once a second", () => {
    const seconds = (performance.now() - startedAt) / 1_000;
    assert.ok(line.reports.length > 5 && line.reports.length <= seconds + 1);
  });

  const startedAt = performance.now();
});
