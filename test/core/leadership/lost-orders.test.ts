// What a store that was put back knows less of than relays, by the orders that these remember.
import assert from "node:assert/strict";
import { test } from "node:test";
import { epochOf } from "../../../core/leadership/epoch.ts";
import {
  isKnownBetter,
  ofThisHistory,
  type RememberedOrder,
  suspects,
} from "../../../core/leadership/lost-orders.ts";

const order = (rollout: string, revision: number, epoch = 5): RememberedOrder => ({
  ...{ service: "web", rollout, epoch, revision },
});
const STORED = { epoch: 6, revision: 10, rollouts: new Set(["known"]) };

/** Of an incarnation that the store does not know. */
const LATER = epochOf({ incarnation: 1, counter: 4 });

/** Each case: what is remembered, whom to look up, and whether the store is behind where it has all of these. */
const CASES = [
  { title: "as old as the store", orders: [order("known", 10)], ask: [], isBehind: false },
  { title: "older", orders: [order("archived", 9)], ask: [], isBehind: false },
  { title: "a later revision", orders: [order("known", 11)], ask: [], isBehind: true },
  { title: "a later rollout", orders: [order("new", 11)], ask: ["new"], isBehind: true },
  { title: "what machines follow", orders: [order("new", 0)], ask: ["new"], isBehind: false },
  {
    title: "the same from two relays",
    orders: [order("new", 12), order("new", 12)],
    ask: ["new"],
    isBehind: true,
  },
  {
    title: "the same of a later incarnation",
    orders: [order("known", 10, LATER)],
    ask: [],
    isBehind: false,
  },
  {
    title: "another rollout of a later incarnation",
    orders: [order("new", 9, LATER)],
    ask: ["new"],
    isBehind: true,
  },
  {
    title: "that machines stay as they are, of a later incarnation",
    orders: [order("known", 9, LATER)],
    ask: [],
    isBehind: true,
  },
];

for (const { title, orders, ask, isBehind } of CASES) {
  test(`remembered: ${title}`, () => {
    assert.deepEqual(
      suspects(orders, STORED).map(({ rollout }) => rollout),
      ask,
    );
    assert.equal(isKnownBetter(orders, STORED, 0), isBehind);
    assert.equal(isKnownBetter(orders, STORED, 1), true, "the store lacks one of them");
  });
}

test("what comes from before the incarnation was raised is no news", () => {
  const before = order("before", 99, epochOf({ incarnation: 0, counter: 50 }));
  const since = order("since", 3, epochOf({ incarnation: 1, counter: 2 }));
  const leader = epochOf({ incarnation: 1, counter: 3 });
  assert.deepEqual(ofThisHistory([before, since], leader), [since]);
});
