// A machine that goes from relay to relay, some of whose connections die without a word, while what relays tell each
// other is late, lost or out of order: never do two of them count it as one that is there for good.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type DesksEffect,
  type DesksInput,
  RelayDesks,
} from "../../../core/rollout/relay-desks.ts";
import { VirtualTime } from "../virtual-time.ts";

const AGENT = { agentId: "agent-1", region: "eu", labels: {} };
const NAMES = ["one", "two", "three"];
/** By then a relay has noticed that a connection is dead. */
const NOTICED_MS = 20_000;
/** Every word has come by then, and so have those that answer it. */
const ALL_HEARD_MS = 300_000;
/** A word between relays comes within so long, or its line breaks. */
const WORD_MS_MAX = 4_000;
/** A line that broke is there again after so long at the least. */
const LINKED_MS = 100;

/** What becomes of a word between relays. */
interface Way {
  readonly ms: number;
  /** Its line breaks, and there is another after that time. */
  readonly isLost: boolean;
}

interface Move {
  readonly afterMs: number;
  readonly to: number;
  /** Until the relay that it leaves notices. */
  readonly noticedMs: number;
}

class Region {
  readonly time = new VirtualTime();
  readonly desks = new Map<string, RelayDesks>();
  /** The connection that each relay believes to have, by its number. */
  readonly #sessions = new Map<string, number>();
  readonly #ways: () => Way;
  /** Lines between relays that are broken. */
  readonly #broken = new Set<string>();
  #connects = 0;
  #at: string | undefined;

  constructor(ways: () => Way, siblings: readonly string[] = NAMES) {
    this.#ways = ways;
    for (const name of NAMES) {
      this.desks.set(name, new RelayDesks(name, new Map()));
      this.#step(name, { kind: "siblings", relays: siblings.filter((one) => one !== name) });
    }
  }

  /** Connects the machine to a relay; the one before notices after a while. */
  join(relay: string, noticedMs: number): void {
    const before = this.#at;
    const old = this.#connects;
    if (before !== undefined) {
      this.time.in(noticedMs, () => {
        if (this.#sessions.get(before) === old) this.#gone(before);
      });
    }
    this.#connects += 1;
    this.#at = relay;
    this.#sessions.set(relay, this.#connects);
    const session = { boot: "boot-1", startedAtMs: 1, connect: this.#connects };
    const standings = new Map();
    this.#step(relay, { kind: "joined", candidate: AGENT, session, from: before, standings });
  }

  /** Relays that count it. */
  get counting(): string[] {
    return NAMES.filter((name) => [...(this.desks.get(name)?.machines() ?? [])].length > 0);
  }

  /** Those of them that take it for one that is not on its way. */
  get sure(): string[] {
    return this.counting.filter((name) => this.desks.get(name)?.isAway(AGENT.agentId) === false);
  }

  #gone(relay: string): void {
    this.#sessions.delete(relay);
    this.#step(relay, { kind: "gone", agentId: AGENT.agentId });
  }

  #step(name: string, input: DesksInput): void {
    const desks = this.desks.get(name) as RelayDesks;
    const effects: DesksEffect[] = [];
    desks.step(this.time.now, input, effects);
    for (const effect of effects) this.#perform(name, effect);
    const { deadline } = desks;
    if (deadline === Number.POSITIVE_INFINITY) return;
    this.time.in(Math.max(0, deadline - this.time.now), () => {
      if (desks.deadline <= this.time.now) this.#step(name, { kind: "wake" });
    });
  }

  #perform(name: string, effect: DesksEffect): void {
    if (effect.kind === "let") this.#sessions.delete(name);
    if (effect.kind !== "claim" && effect.kind !== "cede") return;
    const { ms, isLost } = this.#ways();
    const { relay, claim } = effect;
    const kind = effect.kind === "claim" ? "claimed" : "ceded";
    if (isLost) this.#link(name, relay, ms);
    else this.time.in(ms, () => this.#step(relay, { kind, relay: name, claim }));
  }

  /** The line of two relays broke, and there is another after that time. */
  #link(one: string, other: string, ms: number): void {
    const line = [one, other].toSorted().join();
    if (this.#broken.has(line)) return;
    this.#broken.add(line);
    this.time.in(Math.max(LINKED_MS, ms), () => {
      this.#broken.delete(line);
      this.#step(one, { kind: "linked", relay: other });
      this.#step(other, { kind: "linked", relay: one });
    });
  }
}

test("fault 24: a machine counts once, wherever it goes and whatever relays hear of it", () => {
  const way = fc.record({
    ms: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: WORD_MS_MAX })),
    isLost: fc.boolean(),
  });
  const move = fc.record({
    afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 25_000 })),
    to: fc.integer({ min: 0, max: NAMES.length - 1 }),
    noticedMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: NOTICED_MS })),
  });
  const moves = fc.array<Move>(move, { minLength: 2, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(way, { minLength: 1 }), moves, (ways, all) => {
      let words = 0;
      const region = new Region(() => {
        words += 1;
        return ways[words % ways.length] ?? { ms: 1, isLost: false };
      });
      let at = 0;
      for (const { afterMs, to, noticedMs } of all) {
        at += afterMs;
        region.time.in(at, () => region.join(NAMES[to] as string, noticedMs));
      }
      const end = at + ALL_HEARD_MS;
      region.time.run(
        end,
        () => false,
        () => assert.ok(region.sure.length <= 1, `${region.sure} at ${region.time.now}`),
      );
      const last = [NAMES[all.at(-1)?.to ?? 0]];
      assert.deepEqual([region.counting, region.sure], [last, last]);
    }),
    // The same each time: words that are later than this can still make two of three relays count it for a moment.
    { numRuns: 2_000, seed: 24 },
  );
});

const CASES = [
  { what: "is told at once by a word that comes", way: { ms: 5, isLost: false }, settlesMs: 5_010 },
  {
    what: "hears nothing, and must have noticed",
    way: { ms: 1e9, isLost: false },
    settlesMs: 20_000,
  },
  {
    what: "is not counted by the leader any more",
    siblings: [],
    way: { ms: 5, isLost: false },
    settlesMs: 0,
  },
];

for (const { what, way, siblings = NAMES, settlesMs } of CASES) {
  test(`a machine is on its way for ${settlesMs} ms where the relay before ${what}`, () => {
    const region = new Region(() => way, siblings);
    region.join("one", 0);
    region.join("two", NOTICED_MS);
    const isSure = () => region.sure.includes("two");
    assert.ok(region.time.run(NOTICED_MS, isSure, () => {}));
    assert.equal(region.time.now, settlesMs);
  });
}
