// Relays of a region share the pulling of packs: each segment once, and none is left behind.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  MIRROR_LIMITS,
  MIRROR_LIMITS_COSTLY,
  Mirror,
  type MirrorEffect,
  type MirrorInput,
} from "../../../core/fleet/mirror.ts";
import { isWhole } from "../../../core/fleet/mirror-pack.ts";
import { pullRank, segmentOwner } from "../../../core/fleet/mirror-plan.ts";
import { seededRandom } from "../../../core/swarm/random.ts";

const RELAYS = ["relay-a", "relay-b", "relay-c"];
const PULL_MS = 300;

/** Relays over one region store and one origin in virtual time. */
class Region {
  readonly store = new Set<string>();
  readonly pulls: string[] = [];
  readonly relays = new Map<string, Mirror>();
  readonly failing = new Map<string, number>();
  readonly dead = new Set<string>();
  readonly #inbox: { at: number; to: string; input: MirrorInput }[] = [];
  readonly shared: boolean;
  now = 0;

  constructor(ids: readonly string[], shared = true) {
    this.shared = shared;
    for (const id of ids) this.relays.set(id, new Mirror(id, seededRandom(1)));
    const live = () => ids.filter((id) => !this.dead.has(id));
    for (const id of ids) {
      const apart = shared ? [] : ids.filter((other) => other !== id);
      this.input(id, { kind: "relays", relays: live(), apart });
    }
  }

  all(input: MirrorInput): void {
    for (const id of this.relays.keys()) this.input(id, input);
  }

  input(to: string, input: MirrorInput, afterMs = 0): void {
    this.#inbox.push({ at: this.now + afterMs, to, input });
  }

  /** Runs until nothing is due, or until then. */
  run(until: number): void {
    for (;;) {
      const wakes = [...this.relays].map(([to, relay]) => ({
        at: Math.max(relay.deadline, this.now),
        to,
        input: { kind: "wake" } as const,
      }));
      const next = [...this.#inbox, ...wakes].reduce((a, b) => (b.at < a.at ? b : a));
      if (next.at > until) break;
      const place = this.#inbox.indexOf(next);
      if (place !== -1) this.#inbox.splice(place, 1);
      this.now = next.at;
      this.#step(next.to, next.input);
    }
    this.now = until;
  }

  #step(id: string, input: MirrorInput): void {
    if (this.dead.has(id)) {
      this.relays.delete(id);
      return;
    }
    const effects: MirrorEffect[] = [];
    this.relays.get(id)?.step(this.now, input, effects);
    for (const effect of effects) this.#perform(id, effect);
  }

  #perform(id: string, effect: MirrorEffect): void {
    const key = (name: number | "seal"): string =>
      this.shared ? `${effect.pack}/${name}` : `${id}:${effect.pack}/${name}`;
    switch (effect.kind) {
      case "pull": {
        const { pack, segment } = effect;
        const left = this.failing.get(`${pack}/${segment}`) ?? 0;
        if (left > 0) {
          this.failing.set(`${pack}/${segment}`, left - 1);
          this.input(id, { kind: "failed", pack, segment, error: "no" }, PULL_MS);
          break;
        }
        this.pulls.push(`${pack}/${segment}`);
        this.#inbox.push({
          at: this.now + PULL_MS,
          to: id,
          input: { kind: "stored", pack, segment, by: "pull" },
        });
        // What a relay has begun is in the store only if it lives to the end of it.
        if (!this.dead.has(id)) this.store.add(key(segment));
        break;
      }
      case "look": {
        const prefix = key(0).slice(0, -1);
        const names = [...this.store].filter((name) => name.startsWith(prefix));
        const segments = names.map((name) => Number(name.slice(prefix.length)));
        const found = segments.filter((segment) => Number.isInteger(segment));
        const sealed = this.store.has(key("seal"));
        this.input(id, { kind: "found", pack: effect.pack, segments: found, sealed }, 5);
        break;
      }
      case "copy-seal":
        this.store.add(key("seal"));
        this.input(id, { kind: "seal-stored", pack: effect.pack }, 5);
        break;
      case "fetch": {
        const { pack, segment } = effect;
        this.input(id, { kind: "stored", pack, segment, by: "swarm" }, 2 * PULL_MS);
        break;
      }
      case "serve":
      case "drop":
        break;
      default:
        effect satisfies never;
    }
  }

  isWhole(pack: string): boolean {
    const packs = [...this.relays.values()].map((relay) => relay.packs().get(pack));
    return packs.every((each) => each !== undefined && isWhole(each));
  }
}

test("shares are about even, and only the share of a relay that is gone moves", () => {
  const owners = (relays: readonly string[]) =>
    Array.from({ length: 300 }, (_, segment) => segmentOwner("b-1.1", segment, relays));
  const three = owners(RELAYS);
  for (const relay of RELAYS) {
    const share = three.filter((owner) => owner === relay).length;
    assert.ok(share > 70 && share < 130, `${relay} has ${share} of 300`);
  }
  const two = owners(RELAYS.slice(0, 2));
  const moved = three.filter((owner, segment) => owner !== two[segment]);
  assert.ok(moved.every((owner) => owner === "relay-c"));
  const ranks = RELAYS.map((relay) => pullRank("b-1.1", 7, relay, RELAYS));
  assert.deepEqual(ranks.toSorted(), [0, 1, 2]);
});

test("three relays with one store pull each segment once, and all see the whole pack", () => {
  const region = new Region(RELAYS);
  region.all({ kind: "told", pack: "p", segments: 5, sealed: false });
  region.run(1_000);
  region.all({ kind: "told", pack: "p", segments: 20, sealed: true });
  region.run(8_000);
  assert.equal(region.pulls.length, 20);
  assert.equal(new Set(region.pulls).size, 20);
  assert.ok(region.isWhole("p"));
});

test("relays whose stores are apart pull their shares, and fetch the others' from them", () => {
  const region = new Region(RELAYS, false);
  region.all({ kind: "told", pack: "p", segments: 12, sealed: true });
  region.run(8_000);
  assert.equal(new Set(region.pulls).size, 12);
  assert.equal(region.pulls.length, 12);
  assert.ok(region.isWhole("p"));
});

test("what a dead relay owned is taken over", () => {
  const region = new Region(RELAYS);
  region.dead.add("relay-b");
  region.all({ kind: "told", pack: "p", segments: 10, sealed: true });
  region.run(MIRROR_LIMITS.takeOverMs - 1);
  assert.ok(!region.isWhole("p"));
  region.run(4 * MIRROR_LIMITS.takeOverMs);
  assert.ok(region.isWhole("p"));
  assert.equal(new Set(region.pulls).size, 10);
});

test("who stands in for a sibling begins at the end, as one that comes back does at the start", () => {
  const relays = ["relay-a", "relay-b"];
  const mirror = new Mirror("relay-a", seededRandom(1), MIRROR_LIMITS_COSTLY);
  const pulled: number[] = [];
  const step = (input: MirrorInput): void => {
    const effects: MirrorEffect[] = [];
    mirror.step(0, input, effects);
    for (const effect of effects) if (effect.kind === "pull") pulled.push(effect.segment);
  };
  step({ kind: "relays", relays, apart: [] });
  step({ kind: "told", pack: "p", segments: 12, sealed: true });
  step({ kind: "found", pack: "p", segments: [], sealed: false });
  step({ kind: "relays", relays: ["relay-a"], apart: [] });
  while (pulled.length < 12) {
    step({ kind: "stored", pack: "p", segment: pulled.at(-1) as number, by: "pull" });
  }
  const all = Array.from({ length: 12 }, (_, segment) => segment);
  const ours = all.filter((segment) => segmentOwner("p", segment, relays) === "relay-a");
  const others = all.filter((segment) => !ours.includes(segment));
  assert.ok(ours.length > 0 && others.length > 1);
  assert.deepEqual(pulled, [...ours, ...others.reverse()]);
});

test("a segment that fails is tried again, and its error is told until then", () => {
  const region = new Region(["relay-a"]);
  region.failing.set("p/1", 3);
  region.all({ kind: "told", pack: "p", segments: 3, sealed: true });
  region.run(400);
  const pack = region.relays.get("relay-a")?.packs().get("p");
  assert.deepEqual([...(pack?.errors ?? [])], [[1, "no"]]);
  region.run(20_000);
  assert.equal(pack?.errors.size, 0);
  assert.ok(region.isWhole("p"));
});

test("after a restart nothing is pulled that the store has", () => {
  const region = new Region(["relay-a"]);
  for (const name of ["p/0", "p/2", "p/seal"]) region.store.add(name);
  region.all({ kind: "told", pack: "p", segments: 3, sealed: true });
  region.run(2_000);
  assert.deepEqual(region.pulls, ["p/1"]);
  assert.ok(region.isWhole("p"));
});

test("nothing is pulled before the relays are known", () => {
  const mirror = new Mirror("relay-a", seededRandom(1));
  const effects: MirrorEffect[] = [];
  mirror.step(0, { kind: "told", pack: "p", segments: 1, sealed: false }, effects);
  mirror.step(0, { kind: "found", pack: "p", segments: [], sealed: false }, effects);
  assert.deepEqual(effects, [{ kind: "look", pack: "p" }]);
  mirror.step(0, { kind: "relays", relays: ["relay-a"], apart: [] }, effects);
  assert.deepEqual(effects.at(-1), { kind: "pull", pack: "p", segment: 0 });
});

test("fault 22: a store that cannot be looked at is asked ever more seldom", () => {
  const mirror = new Mirror("relay-a", () => 0.5);
  let looks = 0;
  const take = (now: number, input: MirrorInput): void => {
    const effects: MirrorEffect[] = [];
    mirror.step(now, input, effects);
    for (const { kind } of effects) {
      if (kind !== "look") continue;
      looks += 1;
      take(now, { kind: "failed", pack: "p", segment: "look", error: "503" });
    }
  };
  take(0, { kind: "relays", relays: ["relay-a"], apart: [] });
  take(0, { kind: "told", pack: "p", segments: 1, sealed: true });
  while (mirror.deadline < 3_600_000) take(mirror.deadline, { kind: "wake" });
  // After the first few one in 7.5 s.
  assert.ok(looks > 3_600 / 10 && looks < 3_600 / 7, `${looks} looks in an hour`);
});

test("a bounded number is pulled at once, also over packs that come and go", () => {
  const told = fc.record({
    pack: fc.constantFrom("p", "q", "r"),
    segments: fc.integer({ min: 0, max: 9 }),
    dropped: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(told),
      fc.constantFrom(MIRROR_LIMITS, MIRROR_LIMITS_COSTLY),
      (items, limits) => {
        const mirror = new Mirror("relay-a", seededRandom(1), limits);
        mirror.step(0, { kind: "relays", relays: ["relay-a"], apart: [] }, []);
        let now = 0;
        const pulling: { pack: string; segment: number }[] = [];
        const step = (input: MirrorInput): void => {
          const effects: MirrorEffect[] = [];
          mirror.step(now, input, effects);
          for (const effect of effects) {
            if (effect.kind === "pull") pulling.push(effect);
            if (effect.kind === "look") {
              step({ kind: "found", pack: effect.pack, segments: [], sealed: false });
            }
          }
          assert.ok(pulling.length <= limits.pullsMax);
        };
        for (const { pack, segments, dropped } of items) {
          now += 100;
          if (dropped) step({ kind: "dropped", pack });
          else step({ kind: "told", pack, segments, sealed: false });
          const done = pulling.shift();
          if (done !== undefined) {
            const { pack: of, segment } = done;
            if (segment % 3 === 0) step({ kind: "failed", pack: of, segment, error: "no" });
            else step({ kind: "stored", pack: of, segment, by: "pull" });
          }
        }
      },
    ),
  );
});
