// Whom a rollout waits for when relays come and go: a lost relay, and the agents of one that is back
// before them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { RelayBoard } from "../../../core/rollout/relay-board.ts";
import type { Tally } from "../../../core/rollout/tally.ts";

const EPOCH = 7;
const SETTLE_MS = 10_000;

type Step =
  | readonly [at: number, what: "joins" | "is lost"]
  | readonly [at: number, what: "is started again"]
  | readonly [at: number, what: "counts", machines: number]
  | readonly [at: number, what: "is waited for" | "is all there"];

/** Tells the facts of one relay in turn, and checks what is said of it in between. */
function check(name: string, steps: readonly Step[]): void {
  test(name, () => {
    const board = new RelayBoard(EPOCH);
    const about = { relay: "a", region: "eu", boot: "1" };
    for (const [at, what, machines] of steps) {
      switch (what) {
        case "joins":
          board.joined(at, { ...about, settleMs: 0 });
          break;
        case "is started again":
          board.joined(at, { ...about, settleMs: SETTLE_MS });
          break;
        case "is lost":
          board.lost(at, "a");
          break;
        case "counts":
          board.reported(at, "a", tallyOf(machines));
          break;
        case "is waited for":
        case "is all there":
          assert.equal(board.isMissingAny(at), what === "is waited for", `at ${at}`);
          break;
        default:
          what satisfies never;
      }
    }
  });
}

function tallyOf(matching: number): Tally {
  const nothing = { fetching: 0, staged: 0, activating: 0, active: 0, failed: 0, reverted: 0 };
  const about = {
    epoch: EPOCH,
    revision: 1,
    isRollback: false,
    isClosed: false,
    toRevert: 0,
    waves: [],
  };
  return { ...about, ...nothing, matching };
}

check("one that is new is not waited for", [
  [0, "joins"],
  [0, "is all there"],
]);

check("one that is lost is waited for, but not for ever", [
  [0, "joins"],
  [0, "counts", 5],
  [100, "is lost"],
  [20_099, "is waited for"],
  [20_100, "is all there"],
]);

check("one that is back is waited for until it has as many machines as before", [
  [0, "joins"],
  [0, "counts", 5],
  [100, "is lost"],
  [200, "is started again"],
  [200, "is waited for"],
  [300, "counts", 4],
  [300, "is waited for"],
  [400, "counts", 5],
  [400, "is all there"],
]);

check("one whose machines do not come back is not waited for any longer than they need", [
  [0, "joins"],
  [0, "counts", 5],
  [100, "is lost"],
  [200, "is started again"],
  [300, "counts", 4],
  [10_199, "is waited for"],
  [10_200, "is all there"],
]);

check("one that has not been counted before is waited for as long as machines need", [
  [0, "is started again"],
  [100, "counts", 5],
  [9_999, "is waited for"],
  [10_000, "is all there"],
]);

check("one that is lost again on its way is known by what it had first", [
  [0, "joins"],
  [0, "counts", 5],
  [100, "is lost"],
  [200, "is started again"],
  [300, "counts", 2],
  [400, "is lost"],
  [500, "is started again"],
  [600, "counts", 2],
  [600, "is waited for"],
  [700, "counts", 5],
  [700, "is all there"],
]);

check("one whose connection alone was lost has its machines", [
  [0, "joins"],
  [0, "counts", 5],
  [100, "is lost"],
  [200, "joins"],
  [200, "is all there"],
]);
