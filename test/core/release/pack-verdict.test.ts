// What becomes of packs: the verdicts one by one, and that in no world anything needed is deleted, while everything
// else is in bounded time.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  judgePacks,
  type PackMark,
  type PackWorld,
  standing,
  type Verdict,
} from "../../../core/release/pack-verdict.ts";
import { GarbageWorld, REMEMBER_MS, WAIT_MS } from "./garbage-world.ts";

const NOW = 1_000_000;
const SEALED = { bytes: 300, blobs: 3, isSealed: true };
const marked = (ageMs: number): PackMark => ({ state: "marked", atMs: NOW - ageMs, reason: "r" });
const collected = (ageMs: number): PackMark => ({
  state: "collected",
  atMs: NOW - ageMs,
  reason: "r",
});

const CASES: readonly {
  readonly name: string;
  readonly mark?: PackMark;
  readonly stored?: PackWorld["stored"] extends ReadonlyMap<string, infer One> ? One | "no" : never;
  readonly isNeeded?: boolean;
  readonly isNamed?: boolean;
  readonly held?: string;
  readonly isBehind?: boolean;
  readonly verdict: Verdict;
  readonly reason?: string;
}[] = [
  { name: "needed", isNeeded: true, verdict: "keep", reason: "somebody" },
  { name: "a release has it that is not kept", isNamed: true, verdict: "mark" },
  {
    name: "an attempt left it",
    stored: { bytes: 100, blobs: 1, isSealed: false },
    verdict: "mark",
    reason: "left without a seal by an attempt that is over",
  },
  { name: "sealed, and of no release", verdict: "mark", reason: "no release names it" },
  { name: "nobody knows what machines have", held: "silent", verdict: "keep", reason: "silent" },
  {
    name: "machines have what the store does not know, and it is of no release",
    isBehind: true,
    verdict: "keep",
  },
  {
    name: "the same, and it was marked before the store was put back",
    mark: marked(WAIT_MS),
    isBehind: true,
    verdict: "unmark",
  },
  {
    name: "machines have what the store does not know, and it is of a release",
    isBehind: true,
    isNamed: true,
    verdict: "mark",
  },
  { name: "marked not long ago", mark: marked(WAIT_MS - 1), verdict: "wait" },
  { name: "marked for long enough", mark: marked(WAIT_MS), verdict: "delete" },
  { name: "marked by a clock that was ahead", mark: marked(-WAIT_MS), verdict: "wait" },
  {
    name: "marked for long enough, and nobody knows what machines have",
    mark: marked(WAIT_MS),
    held: "silent",
    verdict: "wait",
  },
  { name: "marked and needed", mark: marked(WAIT_MS), isNeeded: true, verdict: "unmark" },
  { name: "half deleted", mark: { state: "deleting", atMs: 1, reason: "r" }, verdict: "deleting" },
  { name: "dropped by its attempt", mark: { state: "dropped" }, verdict: "deleting" },
  {
    name: "gone, and a release names it",
    mark: collected(2 * REMEMBER_MS),
    stored: "no",
    isNamed: true,
    verdict: "gone",
  },
  { name: "gone a while ago", mark: collected(1), stored: "no", verdict: "gone" },
  { name: "gone long ago", mark: collected(REMEMBER_MS), stored: "no", verdict: "forget" },
  { name: "gone, and stored again", mark: collected(1), verdict: "delete" },
];

for (const {
  name,
  mark,
  stored = SEALED,
  isNeeded,
  isNamed,
  isBehind,
  held = "",
  ...expected
} of CASES) {
  test(`a pack: ${name}`, () => {
    const [judged] = judgePacks({
      nowMs: NOW,
      stored: new Map(stored === "no" ? [] : [["p", stored]]),
      marks: new Map(mark === undefined ? [] : [["p", mark]]),
      needed: new Map(isNeeded ? [["p", "somebody"]] : []),
      named: new Set(isNamed ? ["p"] : []),
      isStoreBehind: isBehind === true,
      waitMs: WAIT_MS,
      rememberMs: REMEMBER_MS,
      held,
    });
    assert.equal(judged?.verdict, expected.verdict);
    if (expected.reason !== undefined) assert.equal(judged?.reason, expected.reason);
  });
}

test("whoever begins to use packs takes marks away, but not of those whose deletion may have begun", () => {
  assert.deepEqual(standing(new Map()), { ok: true, unmark: [] });
  assert.deepEqual(standing(new Map([["p", marked(1)]])), { ok: true, unmark: ["p"] });
  for (const mark of [collected(5), { ...collected(5), state: "deleting" } as PackMark]) {
    const refused = { ok: false, gone: "q", atMs: NOW - 5 };
    assert.deepEqual(
      standing(
        new Map([
          ["p", marked(1)],
          ["q", mark],
        ]),
      ),
      refused,
    );
  }
});

interface Step {
  readonly move: keyof typeof MOVES;
  readonly n: number;
  readonly service: string;
}

/** What may happen next; `n` picks among builds, releases and times. */
const MOVES = {
  begin: (world, { service, n }) => world.begin(service, `sha${n % 6}`),
  advance: (world, { n }) => world.advance(n, `output${n % 5}`),
  /** A whole build at once, so that there are releases of many ages. */
  make: (world, { service, n }) => {
    world.begin(service, `sha${n % 6}`);
    for (let time = 0; time < 2; time += 1) world.advance(world.live.length - 1, `output${n % 5}`);
  },
  fail: (world, { n }) => world.fail(n),
  "roll out": (world, { n }) => void world.rollOut(n),
  settle: (world, { service, n }) => world.settle(service, n % 3 > 0),
  forget: (world, { n }) => world.forget(`output${n % 5}`),
  archive: (world) => world.archive(),
  stray: (world, { n }) => world.strayWrite(n),
  lead: (world, { n }) => {
    for (let time = 0; time <= n % 8; time += 1) world.lead(n === 0);
  },
  crash: (world) => world.crash(),
  arrive: (world) => world.arrive(),
  pass: (world, { n }) => {
    world.nowMs += 50 * n;
  },
} satisfies Record<string, (world: GarbageWorld, step: Step) => void>;

const WEIGHTS: Partial<Record<keyof typeof MOVES, number>> = {
  make: 2,
  "roll out": 4,
  settle: 2,
  lead: 12,
  pass: 5,
};
const step: fc.Arbitrary<Step> = fc.record({
  move: fc.oneof(
    ...(Object.keys(MOVES) as (keyof typeof MOVES)[]).map((move) => ({
      weight: WEIGHTS[move] ?? 1,
      arbitrary: fc.constant(move),
    })),
  ),
  n: fc.nat(19),
  service: fc.constantFrom("web", "api"),
});

test("in no world is anything deleted that is needed, and everything else is in bounded time", () => {
  const seen = { deletions: 0, refusals: 0, unmarked: 0 };
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 300, size: "max" }), (steps) => {
      const world = new GarbageWorld();
      for (const one of steps) {
        const { size: marksBefore } = world.marks;
        MOVES[one.move](world, one);
        if (one.move === "roll out" && world.marks.size < marksBefore) seen.unmarked += 1;
        seen.deletions += world.deleting.length;
        seen.refusals = Math.max(seen.refusals, world.refusals);
        for (const pack of world.inUse) assert.ok(world.isWhole(pack), `${pack} is used, and gone`);
        for (const digest of world.onMachines) {
          assert.ok(world.isFetchable(digest), `machines have ${digest}, and nobody else has`);
        }
      }
      // Then nothing happens any more but that a leader leads: two passes with the wait between them.
      world.crash();
      while (world.late.length > 0) world.arrive();
      for (const waitMs of [0, WAIT_MS, 0]) {
        world.nowMs += waitMs;
        do world.lead();
        while (world.listed !== undefined || world.pass !== undefined || world.deleting.length > 0);
      }
      const needed = world.needed();
      for (const pack of world.origin.keys()) {
        assert.ok(needed.has(pack), `${pack} is still there, and nobody needs it`);
      }
      for (const pack of world.inUse) assert.ok(world.isWhole(pack));
      for (const { mark } of world.marks.values()) assert.equal(mark.state, "collected");
    }),
    { numRuns: 600 },
  );
  for (const [what, times] of Object.entries(seen)) assert.ok(times > 0, `no ${what}`);
});
