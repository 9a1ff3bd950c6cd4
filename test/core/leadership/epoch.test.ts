// Epochs within their incarnation, and what they show of a store that went back.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  epochOf,
  incarnationOf,
  isBehind,
  isOlder,
  type TermPoint,
  withdrawalRevision,
} from "../../../core/leadership/epoch.ts";

test("a raised incarnation is above every epoch of the one before", () => {
  const counter = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const incarnation = fc.integer({ min: 0, max: 1_000 });
  fc.assert(
    fc.property(incarnation, counter, counter, (before, last, first) => {
      const old = epochOf({ incarnation: before, counter: last });
      assert.ok(epochOf({ incarnation: before + 1, counter: first }) > old);
      assert.equal(incarnationOf(old), before);
    }),
  );
});

/** What a relay has seen, and whether a leader of epoch 8, elected at revision 500, must take its store for old. */
const CASES: readonly [what: string, seen: TermPoint, isMet: boolean, expected: boolean][] = [
  ["nothing", { epoch: 0, revision: 0 }, false, false],
  ["the term before", { epoch: 7, revision: 499 }, false, false],
  ["this term", { epoch: 8, revision: 900 }, true, false],
  ["a later term", { epoch: 9, revision: 300 }, false, true],
  ["an earlier term that went on after the backup", { epoch: 7, revision: 501 }, false, true],
  ["one that wrote a single time after it", { epoch: 7, revision: 500 }, false, true],
  ["a lost term of the same number", { epoch: 8, revision: 400 }, false, true],
];

test("fault 32: a leader knows by what relays have seen that its store is not the newest", () => {
  const elected = { epoch: 8, revision: 500 };
  for (const [what, seen, isMet, expected] of CASES) {
    assert.equal(isBehind(elected, seen, isMet), expected, what);
  }
  const raised = { epoch: epochOf({ incarnation: 1, counter: 8 }), revision: 500 };
  for (const [what, seen] of CASES) {
    assert.equal(isBehind(raised, seen, false), false, `${what}, after it was raised`);
  }
});

test("a machine obeys what takes a service away, and the next that a leader says of it, whatever store that has", () => {
  const point = fc.record({ epoch: fc.nat({ max: 20 }), revision: fc.nat({ max: 1_000 }) });
  const later = fc.nat({ max: 3 });
  fc.assert(
    fc.property(point, later, fc.integer({ min: 1, max: 1_000 }), (kept, terms, written) => {
      const epoch = kept.epoch + terms;
      const taken = { epoch, revision: withdrawalRevision(kept, epoch) };
      // In the same term the store is the same, and what it writes next is later.
      const next = { epoch, revision: terms === 0 ? kept.revision + written : written };
      assert.ok(isOlder(kept, taken), "it is obeyed");
      assert.ok(!isOlder(next, taken), "and so is the next");
    }),
  );
});

/** What happens to a store and one relay, in any order. */
type Event = "elected" | "written" | "heard" | "backed-up" | "restored";

test("fault 32: a relay that heard of something newer than a backup always shows it; another never does", () => {
  const events = fc.array(
    fc.constantFrom<Event>("elected", "written", "heard", "backed-up", "restored"),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(events, (history) => {
      let store = { epoch: 1, revision: 1, electedAt: 1 };
      let backup = store;
      let relay: TermPoint = { epoch: 0, revision: 0 };
      let isMet = false;
      let isLed = true;
      let hasLost = false;
      for (const event of [...history, "elected"] as const) {
        if (event === "elected") {
          const revision = store.revision + 1;
          store = { epoch: store.epoch + 1, revision, electedAt: revision };
          isLed = true;
          isMet = false;
          const elected = { epoch: store.epoch, revision: store.electedAt };
          const isShown = isBehind(elected, relay, isMet);
          if (!hasLost) assert.equal(isShown, false, "nothing is lost");
          else if (relay.revision >= store.electedAt)
            assert.equal(isShown, true, "something is lost");
          // It is noticed at the first hello, and the store is not led on.
          if (isShown) return;
        } else if (event === "written") store = { ...store, revision: store.revision + 1 };
        else if (event === "heard") {
          if (!isLed) continue;
          relay = { epoch: store.epoch, revision: store.revision };
          isMet = true;
        } else if (event === "backed-up") backup = store;
        else {
          // The process that led is gone with the store.
          hasLost ||= relay.revision > backup.revision || relay.epoch > backup.epoch;
          store = backup;
          isLed = false;
          isMet = false;
        }
      }
    }),
    { numRuns: 2_000 },
  );
});
