// `millrace swarm` with real processes: a seed and those who get its file, deaths on both sides, a file
// that still grows, peers that lie, and what goes wrong before it begins.
import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import { PieceTable } from "../../core/release/piece-table.ts";
import { SwarmNode } from "../../runtime/peer/swarm-node.ts";
import { deskName, tell } from "../../swarm/desk.ts";
import { SeededFile } from "../../swarm/seeded-file.ts";
import { readTicket, type Ticket, writeTicket } from "../../swarm/ticket.ts";
import { until } from "../lab/until.ts";
import { eventOf, kill, SwarmToolWorld } from "./swarm-tool-world.ts";

const PIECE = 256 * 1024;
let world: SwarmToolWorld;
beforeEach(() => {
  world = new SwarmToolWorld();
});
afterEach(() => world.close());

test("a seed and four who get the file", async () => {
  world.write(40 * PIECE + 1);
  await world.seed();
  const names = ["a", "b", "c", "d"];
  const gets = names.map((name) =>
    world.get(name, "--start-file", world.path("go"), "--seed-for", "1s"),
  );
  await Promise.all(gets.map((get) => eventOf(get, "ready")));
  assert.equal(world.state("a")?.pieces, 0, "a piece came before the start file");
  writeFileSync(world.path("go"), "");
  const done = await Promise.all(gets.map((get) => eventOf(get, "done")));
  for (const get of gets) assert.equal((await get.ended).code, 0);
  for (const name of names) {
    world.assertHas(name);
    assert.deepEqual(readdirSync(world.path(name)), ["blob.bin"], "state is left");
  }
  const fromPeers = done.reduce((sum, event) => sum + event.fromPeers, 0);
  assert.ok(fromPeers > world.content.length, `only ${fromPeers} bytes came from peers`);
});

test("who comes late gets it from others when the seed is gone, or from one that it names", async () => {
  world.write(40 * PIECE);
  const { seed } = await world.seed();
  const first = world.get("first", "--seed-for", "forever");
  const { address } = await eventOf(first, "ready");
  await eventOf(first, "done");
  const late = world.get("late");
  await until(
    "the table is there",
    () => (world.state("late")?.rows ?? 0) > 0 || late.process.exitCode === 0,
  );
  await kill(seed);
  assert.equal((await late.ended).code, 0);
  world.assertHas("late");
  assert.equal((await world.get("later", "--from", address).ended).code, 0);
  world.assertHas("later");
});

test("a growing file is got as it grows, also over the death of who gets it", async () => {
  world.write(10 * PIECE + 100);
  const total = 20 * PIECE + 7;
  const { seed } = await world.seed("--growing", "--size", `${total}`);
  assert.equal(readTicket(world.ticket).kind, "growing");
  const get = world.get("a");
  await until("the first half is there", () => world.state("a")?.pieces === 10);
  await kill(get);
  const again = world.get("a");
  await eventOf(again, "ready");
  appendFileSync(world.file, Buffer.alloc(total - world.content.length, "x"));
  world.content = readFileSync(world.file);
  await eventOf(seed, "whole");
  const done = await eventOf(again, "done");
  assert.equal((await again.ended).code, 0);
  world.assertHas("a");
  assert.equal(done.fromSeed, total - 10 * PIECE, "what was there was fetched again");
  assert.equal(readTicket(world.ticket).kind, "whole");
  assert.equal((await world.get("late").ended).code, 0);
  world.assertHas("late");
});

test("a growing file of unknown size is whole when it grows no more", async () => {
  world.write(PIECE + 3);
  const { seed } = await world.seed("--growing", "--quiet-for", "300ms");
  const get = world.get("a");
  await eventOf(seed, "whole");
  assert.equal((await get.ended).code, 0);
  world.assertHas("a");
});

test("several files, by one seed and one get", async () => {
  world.write(20 * PIECE);
  writeFileSync(world.path("other.bin"), "other");
  const tickets = world.path("tickets");
  const where = ["--listen", "127.0.0.1:0", "--ticket", tickets];
  const files = [world.file, world.path("other.bin")];
  const seed = world.start("seed", ...files, "--urgent", world.file, ...where);
  await eventOf(seed, "ready");
  const paths = ["blob.bin.ticket", "other.bin.ticket"].map((name) => world.path("tickets", name));
  await until("both tickets are there", () => paths.every((path) => existsSync(path)));
  assert.deepEqual(
    paths.map((path) => readTicket(path).isUrgent),
    [true, undefined],
  );
  const get = world.start("get", ...paths, "--out", world.path("a"));
  assert.equal((await get.ended).code, 0, get.output.stderr);
  world.assertHas("a");
  assert.equal(readFileSync(world.path("a", "other.bin"), "utf8"), "other");
  assert.deepEqual(readdirSync(world.path("a")).sort(), ["blob.bin", "other.bin"]);
  const twice = await world.start("get", ...paths, ...paths, "--out", world.path("b")).ended;
  assert.equal(twice.code, 2);
  assert.match(twice.stderr, /two tickets are of a file blob.bin/);
  const wrong = await world.start("seed", ...files, "--urgent", "else.bin", ...where).ended;
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--urgent else.bin is none of the files/);
});

test("a seed and a get that are held to a rate", async () => {
  world.write(8 * PIECE + 1);
  await world.seed("--up-limit", "40mbit");
  const get = world.get("a", "--down-limit", "8MB", "--up-limit", "2500000");
  assert.equal((await get.ended).code, 0, get.output.stderr);
  world.assertHas("a");
  const where = ["--listen", "127.0.0.1:0", "--ticket", world.path("t")];
  for (const refused of [
    world.start("seed", world.file, ...where, "--up-limit", "100kB"),
    world.get("b", "--down-limit", "fast"),
  ]) {
    const { code, stderr } = await refused.ended;
    assert.equal(code, 2);
    assert.match(stderr, /-limit.* expected bytes a second from 250kB \(2mbit\) to 100gbit/);
  }
});

test("an empty file", async () => {
  world.write(0);
  await world.seed();
  assert.equal((await world.get("a").ended).code, 0);
  world.assertHas("a");
});

test("a peer with wrong bytes does not keep anybody from the right ones", async () => {
  world.write(40 * PIECE);
  // So slow that the liar is asked before the seed has given everything.
  const { address } = await world.seed("--up-limit", "4MB");
  const { swarm } = readTicket(world.ticket);
  writeFileSync(world.path("wrong"), Buffer.alloc(world.content.length, "wrong"));
  const truth = await SeededFile.open({ path: world.file, isGrowing: false, bytes: undefined });
  const lie = await SeededFile.open({
    path: world.path("wrong"),
    isGrowing: false,
    bytes: undefined,
  });
  const node = await SwarmNode.listen({
    peerId: "liar",
    role: "agent",
    host: "127.0.0.1",
    port: 0,
  });
  try {
    lie.extend(await truth.readOn(true));
    assert.equal(lie.pieceCount, new PieceTable(lie.rows, "").count);
    const liar = node.join(swarm, lie, []);
    await node.callDesk(deskName(swarm), address, {
      failed: assert.fail,
      answered: (connection) => {
        connection.greeted({ frame: () => {}, block: () => {}, closed: () => {} });
        tell(connection, { kind: "join", address: node.address });
      },
    });
    const get = world.get("a");
    assert.equal((await get.ended).code, 0, get.output.stderr);
    world.assertHas("a");
    assert.ok(liar.bytes.sent > 0, "nobody asked the liar");
  } finally {
    await node.close();
    await Promise.all([truth.close(), lie.close()]);
  }
});

test("a file that is changed while it is seeded ends the seed, and nothing wrong is given away", async () => {
  world.write(40 * PIECE);
  const { seed } = await world.seed();
  writeFileSync(world.file, Buffer.alloc(world.content.length, "changed"));
  const get = world.get("a", "--timeout", "20s");
  const { code, stderr } = await seed.ended;
  assert.equal(code, 1);
  assert.match(stderr, /was changed while it was seeded/);
  assert.equal(world.state("a")?.pieces ?? 0, 0);
  await kill(get);
});

test("what one has got and then spoilt is not given on", async () => {
  world.write(40 * PIECE);
  await world.seed();
  const first = world.get("first", "--seed-for", "forever");
  await eventOf(first, "done");
  writeFileSync(world.path("first", "blob.bin"), Buffer.alloc(world.content.length, "spoilt"), {
    flag: "r+",
  });
  const second = world.get("second");
  const { fromPeers } = await eventOf(second, "done");
  assert.equal(fromPeers, 0);
  world.assertHas("second");
});

interface BadTicket {
  readonly what: string;
  readonly ticket: (ticket: Ticket) => object;
  readonly code: number;
  readonly says: RegExp;
}

const BAD_TICKETS: readonly BadTicket[] = [
  { what: "no ticket", ticket: () => ({ a: 1 }), code: 2, says: /is no ticket: "millraceTicket"/ },
  {
    what: "a name that climbs",
    ticket: (one) => ({ ...one, name: "../x" }),
    code: 2,
    says: /"name"/,
  },
  { what: "a hidden NUL", ticket: (one) => ({ ...one, name: "x\0" }), code: 2, says: /"name"/ },
  {
    what: "an urgency of another kind",
    ticket: (one) => ({ ...one, isUrgent: "yes" }),
    code: 2,
    says: /"isUrgent" is neither true nor false/,
  },
  { what: "no table", ticket: (one) => ({ ...one, table: "00" }), code: 2, says: /"table"/ },
  {
    what: "another swarm",
    ticket: (one) => ({ ...one, swarm: "0".repeat(64) }),
    code: 6,
    says: /does not seed blob.bin/,
  },
  {
    what: "another table",
    ticket: (one) => ({ ...one, table: "0".repeat(64) }),
    code: 6,
    says: /a piece table that is not the ticket's/,
  },
  {
    what: "another size",
    ticket: (one) => ({ ...one, bytes: 5 }),
    code: 6,
    says: /for a file of 5/,
  },
  {
    what: "the key of another",
    ticket: ({ name, swarm, seed }) => ({
      kind: "growing",
      name,
      swarm,
      seed,
      key: "1".repeat(64),
    }),
    code: 6,
    says: /not the ticket's/,
  },
];

test("a wrong ticket is refused, and says why", async () => {
  world.write(3 * PIECE);
  await world.seed();
  const right = readTicket(world.ticket);
  for (const { what, ticket, code, says } of BAD_TICKETS) {
    writeTicket(world.ticket, { ...ticket(right) } as Ticket);
    if (what === "no ticket") writeFileSync(world.ticket, "{}");
    const ended = await world.get("a").ended;
    assert.equal(ended.code, code, `${what}: ${ended.stderr}`);
    assert.match(ended.stderr, says, what);
    assert.deepEqual(JSON.parse(ended.stdout.trim().split("\n").at(-1) as string).exitCode, code);
  }
  assert.deepEqual(
    readdirSync(world.folder).filter((name) => name.includes("x")),
    [],
  );
});

test("an existing file stays unless it is the same or is to be replaced", async () => {
  world.write(3 * PIECE);
  await world.seed();
  mkdirSync(world.path("a"));
  writeFileSync(world.path("a", "blob.bin"), "mine");
  const refused = await world.get("a").ended;
  assert.equal(refused.code, 6);
  assert.match(refused.stderr, /exists already/);
  assert.equal(readFileSync(world.path("a", "blob.bin"), "utf8"), "mine");
  assert.equal((await world.get("a", "--force").ended).code, 0);
  world.assertHas("a");
  const again = await world.get("a").ended;
  assert.equal(again.code, 0);
  assert.equal(JSON.parse(again.stdout).bytes, world.content.length);
});

test("two into one folder, nobody there, an interruption, bad flags", async () => {
  world.write(3 * PIECE);
  const { seed } = await world.seed("--growing", "--size", `${4 * PIECE}`);
  const get = world.get("a");
  await until("pieces are there", () => world.state("a")?.pieces === 3);
  const second = await world.get("a").ended;
  assert.equal(second.code, 6);
  assert.match(second.stderr, /is being fetched already/);
  get.process.kill("SIGINT");
  assert.equal((await get.ended).code, 130);
  assert.match(get.output.stderr, /the same command goes on/);
  await kill(seed);
  const late = await world.get("a", "--timeout", "500ms").ended;
  assert.equal(late.code, 124);
  assert.match(late.stderr, /3 of 3 pieces|not whole after/);
  for (const flags of [
    ["--listen", "0.0.0.0:0"],
    ["--listen", "here"],
    ["--advertise", "here"],
    ["--timeout", "soon"],
    ["--seed-for", "60000h"],
  ]) {
    assert.equal((await world.get("b", ...flags).ended).code, 2, flags.join(" "));
  }
});
