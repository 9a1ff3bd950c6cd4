// Who may fill how much of a way to the network: an urgent swarm as if it were alone, the others what it leaves
// and an eighth in any case, and whoever is alone or among its like all that it would.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Lane, type LanePlace } from "../../../core/swarm/lane.ts";
import { BLOCK_BYTES_MAX, LEFT_ONE_IN } from "../../../core/swarm/limits.ts";

const BOUND = 1_000;

interface Case {
  readonly name: string;
  /** Bytes under way of each swarm, and whether it is urgent and wants more. */
  readonly swarms: readonly (readonly ["urgent" | "usual", number, "wants"?])[];
  readonly bounds: readonly number[];
}

const CASES: readonly Case[] = [
  { name: "alone", swarms: [["usual", 900]], bounds: [BOUND] },
  { name: "urgent and alone", swarms: [["urgent", 900]], bounds: [BOUND] },
  {
    name: "alike, usual or urgent, are left to TCP",
    swarms: [
      ["usual", 900],
      ["usual", 800],
    ],
    bounds: [BOUND, BOUND],
  },
  {
    name: "what an urgent one leaves",
    swarms: [
      ["urgent", 700],
      ["usual", 0],
    ],
    bounds: [BOUND, 300],
  },
  {
    name: "an idle urgent one leaves all",
    swarms: [
      ["urgent", 0],
      ["usual", 100],
    ],
    bounds: [BOUND, BOUND],
  },
  {
    name: "a full urgent one leaves nothing",
    swarms: [
      ["urgent", 1_200],
      ["usual", 100],
    ],
    bounds: [BOUND, 0],
  },
  {
    name: "those that have or want something divide it",
    swarms: [
      ["urgent", 400],
      ["usual", 100],
      ["usual", 0, "wants"],
      ["usual", 0],
    ],
    bounds: [BOUND, 300, 300, 200],
  },
  {
    name: "several urgent ones",
    swarms: [
      ["urgent", 400],
      ["urgent", 500],
      ["usual", 0],
    ],
    bounds: [BOUND, BOUND, 100],
  },
];

for (const { name, swarms, bounds } of CASES) {
  test(`bounds: ${name}`, () => {
    const lane = new Lane();
    const places = swarms.map(([rank]) => lane.enter(rank === "urgent"));
    for (const [at, [, bytes, wants]] of swarms.entries()) {
      if (wants !== undefined) places[at]?.want(BOUND);
      places[at]?.note(bytes);
    }
    assert.deepEqual(
      places.map((place) => place.boundOf(BOUND)),
      bounds,
    );
  });
}

test("one that becomes urgent goes first from then on, and leaves all when it is urgent no more", () => {
  const lane = new Lane();
  const [one, other] = [lane.enter(false), lane.enter(false)];
  assert.deepEqual([one.yields, other.yields], [false, false]);
  one.note(BOUND);
  one.urge(true);
  assert.deepEqual([one.yields, other.yields, other.boundOf(BOUND)], [false, true, 0]);
  other.want(BOUND);
  one.urge(false);
  assert.equal(one.note(BOUND), true, "who waited for it hears of it");
  assert.deepEqual([other.yields, other.boundOf(BOUND)], [false, BOUND]);
});

test("who wants more hears of it when the urgent one has less under way, or leaves it its part", () => {
  const lane = new Lane();
  const [urgent, usual] = [lane.enter(true), lane.enter(false)];
  assert.equal(urgent.note(BOUND), false);
  assert.equal(urgent.note(500), false, "nobody wants anything");
  assert.equal(urgent.note(BOUND), false);
  usual.want(BOUND);
  assert.equal(usual.boundOf(BOUND), 0);
  assert.equal(urgent.note(BOUND + 100), false, "there is less room");
  assert.equal(urgent.note(BOUND), false, "there is no room yet");
  assert.equal(urgent.note(BOUND - 1), true);
  assert.equal(urgent.note(BOUND), false);
  urgent.pass(0, BOUND);
  assert.equal(urgent.note(BOUND), true, "a part is left");
  assert.equal(usual.boundOf(BOUND), 1);
  usual.pass(0, BOUND / LEFT_ONE_IN);
  assert.equal(usual.boundOf(BOUND), 0);
});

test("one that waits for the limit leaves nothing, until it does not", () => {
  const lane = new Lane(1);
  const [urgent, usual] = [lane.enter(true), lane.enter(false)];
  usual.want(BOUND);
  urgent.pass(0, 100);
  usual.pass(0, 100);
  assert.equal(urgent.waitsUntil(0), 180);
  urgent.note(0);
  assert.equal(usual.boundOf(BOUND), 0);
  urgent.rest();
  assert.equal(urgent.note(0), true);
  assert.equal(usual.boundOf(BOUND), BOUND);
  assert.equal(usual.waitsUntil(180), undefined, "its turn is kept from others");
});

test("whoever leaves is not counted", () => {
  const lane = new Lane();
  const [urgent, usual] = [lane.enter(true), lane.enter(false)];
  urgent.note(BOUND);
  usual.note(0);
  assert.equal(usual.boundOf(BOUND), 0);
  urgent.leave();
  assert.equal(usual.yields, false);
  assert.equal(usual.boundOf(BOUND), BOUND);
});

test("beside an urgent swarm that never rests the others have an eighth together, each as much", () => {
  const block = fc.integer({ min: BLOCK_BYTES_MAX / 64, max: BLOCK_BYTES_MAX });
  fc.assert(
    fc.property(
      fc.array(block, { minLength: 300, maxLength: 300 }),
      fc.integer({ min: 1, max: 5 }),
      block,
      (blocks, count, usualBytes) => {
        const lane = new Lane();
        const urgent = lane.enter(true);
        const others = Array.from({ length: count }, () => ({ place: lane.enter(false), sum: 0 }));
        urgent.note(2 * BOUND);
        let urgentSum = 0;
        for (const bytes of blocks) {
          urgent.pass(0, bytes);
          urgentSum += bytes;
          urgent.note(2 * BOUND);
          while (others.map((one) => tryPass(one, usualBytes)).includes(true));
        }
        const sums = others.map(({ sum }) => sum);
        const all = sums.reduce((sum, one) => sum + one, 0);
        const part = urgentSum / LEFT_ONE_IN;
        assert(all <= part + BLOCK_BYTES_MAX, `${all} bytes passed, ${part} were left`);
        assert(all >= part - 2 * BLOCK_BYTES_MAX, `${all} bytes passed, ${part} were left`);
        assert(Math.max(...sums) - Math.min(...sums) <= usualBytes, `${sums} bytes each`);
      },
    ),
    { numRuns: 50, seed: 1 },
  );
});

/** Wants more always, and passes a block if it may: then true. */
function tryPass(one: { readonly place: LanePlace; sum: number }, bytes: number): boolean {
  one.place.want(BOUND);
  if (one.place.boundOf(BOUND) <= 0) return false;
  one.place.pass(0, bytes);
  one.sum += bytes;
  return true;
}
