// Whom a desk introduces to whom: a connected graph of even degree, kept so when members leave, and the
// same again from the same seed.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type DeskEffect,
  type DeskInput,
  IntroductionDesk,
  LINKS_MIN,
} from "../../../core/introduction/introduction-desk.ts";
import { NEIGHBOURS_MAX, NEIGHBOURS_MIN } from "../../../core/swarm/limits.ts";

/** A desk with the graph of what it told. */
class DeskWorld {
  readonly effects: DeskEffect[] = [];
  readonly links = new Map<string, Set<string>>();
  readonly #desk: IntroductionDesk;

  constructor(seed: number) {
    this.#desk = new IntroductionDesk(seed);
  }

  join(peer: string, address = `${peer}:1`): DeskEffect[] {
    this.links.set(peer, new Set());
    return this.#step({ kind: "joined", peer, address });
  }

  seek(peer: string): DeskEffect[] {
    return this.#step({ kind: "seeks", peer });
  }

  leave(peer: string): DeskEffect[] {
    for (const other of this.links.get(peer) ?? []) this.links.get(other)?.delete(peer);
    this.links.delete(peer);
    return this.#step({ kind: "left", peer });
  }

  #step(input: DeskInput): DeskEffect[] {
    const effects: DeskEffect[] = [];
    this.#desk.step(0, input, effects);
    this.effects.push(...effects);
    for (const { to, members } of effects) {
      for (const { peer } of members) {
        assert.ok(this.links.has(peer), `${to} is told ${peer}, which is not there`);
        this.links.get(to)?.add(peer);
        this.links.get(peer)?.add(to);
      }
    }
    return effects;
  }

  degrees(): number[] {
    return [...this.links.values()].map((links) => links.size);
  }

  /** Members that can be reached from the first one. */
  reached(): number {
    const [first] = this.links.keys();
    const seen = new Set<string>(first === undefined ? [] : [first]);
    for (const peer of seen) for (const other of this.links.get(peer) ?? []) seen.add(other);
    return seen.size;
  }
}

test("a newcomer is told who is there, and who would dial it at once is told the newcomer", () => {
  const world = new DeskWorld(1);
  const told = (to: string, peer: string) => {
    const members = [{ peer, address: `${peer}:1` }];
    return { kind: "introduce" as const, to, members };
  };
  assert.deepEqual(world.join("b"), []);
  assert.deepEqual(world.join("c"), [told("c", "b"), told("b", "c")]);
  world.leave("c");
  assert.deepEqual(world.join("a"), [told("a", "b")]);
});

test("a small swarm is a full mesh", () => {
  const world = new DeskWorld(2);
  for (let index = 0; index <= NEIGHBOURS_MIN; index += 1) world.join(`p${index}`);
  assert.deepEqual(new Set(world.degrees()), new Set([NEIGHBOURS_MIN]));
});

test("a thousand members that seek as long as they lack neighbours have even degrees, a few hops apart", () => {
  const world = new DeskWorld(3);
  for (let index = 0; index < 1_000; index += 1) world.join(`p${index}`);
  for (let round = 0; round < 3; round += 1) {
    for (const [peer, links] of world.links) if (links.size < NEIGHBOURS_MIN) world.seek(peer);
  }
  const degrees = world.degrees();
  assert.ok(Math.min(...degrees) >= NEIGHBOURS_MIN, `least ${Math.min(...degrees)}`);
  assert.ok(Math.max(...degrees) <= NEIGHBOURS_MAX, `most ${Math.max(...degrees)}`);
  const mean = degrees.reduce((sum, one) => sum + one, 0) / degrees.length;
  assert.ok(mean < 1.5 * NEIGHBOURS_MIN, `mean ${mean}`);
  assert.equal(world.reached(), 1_000);
  const hops = new Map([["p0", 0]]);
  for (const [peer, far] of hops) {
    for (const other of world.links.get(peer) ?? []) if (!hops.has(other)) hops.set(other, far + 1);
  }
  assert.ok(Math.max(...hops.values()) <= 4, `${Math.max(...hops.values())} hops`);
});

test("one that cannot be dialled is told others, and told to nobody", () => {
  const world = new DeskWorld(4);
  world.join("a");
  world.join("hidden", "");
  const told = world.join("b").filter(({ to }) => to === "b");
  assert.deepEqual(
    told[0]?.members.map(({ peer }) => peer),
    ["a"],
  );
  assert.deepEqual([...(world.links.get("hidden") ?? [])], ["a"]);
});

test("who seeks is told others than it knows; nobody answers one that is not there", () => {
  const world = new DeskWorld(8);
  for (let index = 0; index < 100; index += 1) world.join(`p${index}`);
  const known = new Set(world.links.get("p99"));
  const members = world.seek("p99").find(({ to }) => to === "p99")?.members ?? [];
  assert.ok(members.length > 0);
  assert.ok(!members.some(({ peer }) => known.has(peer)));
  assert.deepEqual(world.seek("nobody"), []);
});

test("threat 10: who seeks again and again is not told of all", () => {
  const world = new DeskWorld(9);
  for (let index = 0; index < 200; index += 1) world.join(`p${index}`);
  for (let turn = 0; turn < 100; turn += 1) {
    for (const { members } of world.seek("p0")) assert.ok(members.length <= NEIGHBOURS_MIN);
  }
  const { size } = world.links.get("p0") ?? new Set();
  assert.ok(size >= NEIGHBOURS_MAX && size < NEIGHBOURS_MAX + NEIGHBOURS_MIN, `${size} are known`);
  assert.deepEqual(world.seek("p0"), []);
});

test("one that comes again starts over, under its new address", () => {
  const world = new DeskWorld(5);
  world.join("a");
  world.join("b");
  world.join("a", "a:2");
  assert.deepEqual(world.join("c")[0]?.members.find(({ peer }) => peer === "a")?.address, "a:2");
});

test("whoever loses its links is told others, and nobody is cut off", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 30, max: 80 }), fc.nat(), (seed, count, order) => {
      const world = new DeskWorld(seed);
      for (let index = 0; index < count; index += 1) world.join(`p${index}`);
      const leaving = Math.floor(count / 2);
      for (let step = 0; step < leaving; step += 1) {
        const peers = [...world.links.keys()];
        world.leave(peers[(order + 7 * step) % peers.length] as string);
        assert.ok(Math.min(...world.degrees()) >= Math.min(LINKS_MIN, world.links.size - 1));
      }
      assert.equal(world.reached(), count - leaving);
    }),
    { numRuns: 50 },
  );
});

test("the same seed introduces the same", () => {
  const told = (seed: number) => {
    const world = new DeskWorld(seed);
    for (let index = 0; index < 60; index += 1) world.join(`p${index}`);
    for (let index = 0; index < 60; index += 3) world.leave(`p${index}`);
    return world.effects;
  };
  assert.deepEqual(told(6), told(6));
  assert.notDeepEqual(told(6), told(7));
});

test("threat 10: however members join, leave and come again, no reply tells more than 16, or anybody who is not there", () => {
  const move = fc.record({ peer: fc.nat(99), isJoin: fc.boolean() });
  fc.assert(
    fc.property(fc.nat(), fc.array(move, { minLength: 100, maxLength: 400 }), (seed, moves) => {
      const world = new DeskWorld(seed);
      for (let index = 0; index < 60; index += 1) world.join(`p${index}`);
      for (const { peer, isJoin } of moves) {
        const id = `p${peer}`;
        const effects = isJoin ? world.join(id) : world.leave(id);
        assert.ok(
          effects.length <= 2 * NEIGHBOURS_MAX * (1 + LINKS_MIN),
          `${effects.length} replies`,
        );
        for (const { to, members } of effects) {
          assert.ok(members.length <= NEIGHBOURS_MIN, `${to} is told ${members.length}`);
        }
      }
    }),
    { numRuns: 50 },
  );
});
