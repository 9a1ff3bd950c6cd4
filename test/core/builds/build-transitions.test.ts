// The queue's rules one by one: who may change a build, and into what.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BUILD_LIMITS } from "../../../core/builds/build-limits.ts";
import { type BuildRow, type LeasedBuild, NO_PROGRESS } from "../../../core/builds/build-row.ts";
import {
  attach,
  type Change,
  cancel,
  complete,
  expire,
  heartbeat,
  lease,
  lose,
  type Outcome,
  reissue,
} from "../../../core/builds/build-transitions.ts";
import { DeadlineKeeper, type KeeperEffect } from "../../../core/builds/deadline-keeper.ts";
import { submitted } from "./queue-world.ts";

const RELEASE: Outcome = { kind: "release", release: "a1", service: "s" };
const WISH = {
  targets: {},
  overrideTargets: false,
  excludedRegions: [],
  supersede: false,
  urgent: false,
};

function rowOf(change: Change): BuildRow {
  assert.ok(change.ok, "the change is refused");
  return change.row;
}

function leased(from: BuildRow = submitted("b1", 1_200_000), leftMs = 1_200_000): LeasedBuild {
  const to = { worker: "w", nowMs: 5, attemptMsMax: 60_000, overallLeftMs: leftMs };
  return rowOf(lease(from, to)) as LeasedBuild;
}

function lost(row: BuildRow, overallLeftMs = 1_000_000, ranMs = 0): BuildRow {
  return rowOf(lose(row, row.attempt, { overallLeftMs, ranMs, nowMs: 9 }));
}

test("a lease raises the attempt, and its time ends with the overall limit", () => {
  const first = leased();
  assert.deepEqual([first.attempt, first.attemptMs, first.attemptLimit], [1, 60_000, "attempt"]);
  const second = leased(lost(first), 20_000);
  assert.deepEqual([second.attempt, second.attemptMs, second.attemptLimit], [2, 20_000, "overall"]);
});

test("fault 18: an attempt that is not current is refused everything", () => {
  const second = leased(lost(leased()));
  const said = { service: "s", progress: NO_PROGRESS };
  assert.equal(heartbeat(second, 1, said).ok, false);
  assert.equal(complete(second, 1, RELEASE, 9).ok, false);
  assert.equal(complete(second, 3, RELEASE, 9).ok, false);
  assert.equal(expire(second, 1, "attempt", 9).ok, false);
  assert.equal(complete(lost(leased()), 1, RELEASE, 9).ok, false, "lost, not leased again yet");
});

test("fault 32: what a store forgot of a build is made good under an attempt that nobody had", () => {
  const forgotten = leased(lost(leased()));
  const again = rowOf(reissue(forgotten, 9));
  assert.equal(again.state, "queued");
  assert.ok(leased(again).attempt > forgotten.attempt + 100);
  assert.equal(complete(leased(again), 2, RELEASE, 9).ok, false, "the forgotten attempt is over");
  assert.equal(leased(rowOf(reissue(submitted("b1", 1_200_000), 9))).losses, 0);
  const unwanted = rowOf(cancel(leased(), "", 9));
  assert.equal(rowOf(reissue(unwanted, 9)).state, "cancelled");
  const done = rowOf(complete(leased(), 1, RELEASE, 9));
  assert.equal(rowOf(reissue(done, 9)), done);
});

test("the same report twice is accepted once; another one is refused", () => {
  const done = rowOf(complete(leased(), 1, RELEASE, 9));
  assert.equal(done.state, "succeeded");
  assert.equal(rowOf(complete(done, 1, RELEASE, 10)), done);
  assert.equal(complete(done, 1, { ...RELEASE, release: "b2" }, 10).ok, false);
  assert.equal(complete(done, 1, { kind: "cancelled" }, 10).ok, false);
});

test("a command that fails ends the build at once", () => {
  const failure: Outcome = { kind: "failure", reason: "command", message: "exit code 2" };
  const done = rowOf(complete(leased(), 1, failure, 9));
  assert.ok(done.state === "failed" && done.reason === "command");
});

test("fault 20: three deliveries to workers that vanish are the last", () => {
  const twice = lost(leased(lost(leased())));
  assert.equal(twice.state, "queued");
  const thrice = lost(leased(twice));
  assert.ok(thrice.state === "failed" && thrice.reason === "worker_lost");
});

test("a build given back by its worker costs no delivery", () => {
  const back: Outcome = { kind: "failure", reason: "handed_back", message: "" };
  const row = rowOf(complete(leased(), 1, back, 9));
  assert.deepEqual([row.state, row.losses, row.attempt], ["queued", 0, 1]);
});

test("no retry starts that could not end in time", () => {
  const late = lost(leased(), 100_000, 100_001);
  assert.ok(late.state === "failed" && late.reason === "worker_lost");
  const waiting = lost(leased(), 100_000, 99_000);
  const to = { worker: "w", nowMs: 5, attemptMsMax: 60_000, overallLeftMs: 98_999 };
  assert.deepEqual(lease(waiting, to), { ok: false, refusal: "no-time" });
});

test("cancelling lets one requester go, and the last one stops the build", () => {
  const both = rowOf(attach(leased(), "other", undefined));
  const one = rowOf(cancel(both, "other", 9));
  assert.ok(one.state === "leased" && !one.cancelling);
  assert.deepEqual(rowOf(cancel(one, "other", 9)), one, "letting go twice is letting go once");
  const none = rowOf(cancel(one, "r", 9));
  assert.ok(none.state === "leased" && none.cancelling);
  assert.equal(attach(none, "late", undefined).ok, false);
  assert.equal(rowOf(complete(none, 1, RELEASE, 9)).state, "cancelled");
  assert.equal(lost(none).state, "cancelled");
  assert.equal(rowOf(cancel(submitted("b", 1), "", 9)).state, "cancelled");
});

test("a rollout is asked for once, and goes with the last who asked for it", () => {
  const shipped = rowOf(attach(submitted("b", 1), "a", WISH));
  assert.ok(attach(shipped, "b", WISH).ok);
  const other = attach(shipped, "b", { ...WISH, targets: { role: "db" } });
  assert.deepEqual(other, { ok: false, refusal: "other-ship" });
  const without = rowOf(cancel(shipped, "a", 9));
  assert.ok(without.state === "queued" && without.ship === undefined);
});

test("an attempt's own word on its time names the limit that it hit", () => {
  const up: Outcome = { kind: "failure", reason: "attempt", message: "" };
  const done = rowOf(complete(leased(undefined, 30_000), 1, up, 9));
  assert.ok(done.state === "timed_out" && done.reason === "overall");
  assert.ok(complete(done, 1, up, 10).ok, "its repeat is accepted");
});

test("an outage gives every lease a full window; silence after it does not", () => {
  const keeper = new DeadlineKeeper(BUILD_LIMITS);
  const step = (now: number, input: Parameters<DeadlineKeeper["step"]>[1]): string[] => {
    const effects: KeeperEffect[] = [];
    keeper.step(now, input, effects);
    return effects.map((effect) => effect.kind).filter((kind) => kind !== "checkpoint");
  };
  const { detectMs, sweepMs } = BUILD_LIMITS;
  step(0, { kind: "changed", row: leased(submitted("b1", 1_200_000)) });
  const outageEnd = 2 * detectMs;
  assert.deepEqual(step(outageEnd, { kind: "wake" }), []);
  const swept: string[] = [];
  let now = outageEnd;
  while (swept.length === 0) {
    now = keeper.deadline;
    swept.push(...step(now, { kind: "wake" }));
  }
  assert.deepEqual(swept, ["lose"]);
  assert.ok(now >= outageEnd + detectMs && now <= outageEnd + detectMs + sweepMs);
});

test("a heartbeat that another process took counts once its row is seen; a checkpoint does not", () => {
  const { detectMs, sweepMs } = BUILD_LIMITS;
  const progress = NO_PROGRESS;
  const first = leased(submitted("b1", 1_200_000));
  const second = rowOf(heartbeat(first, 1, { service: "s", progress }));
  const lostAt = (row: BuildRow): number => {
    const keeper = new DeadlineKeeper(BUILD_LIMITS);
    const effects: KeeperEffect[] = [];
    keeper.step(0, { kind: "changed", row: first }, effects);
    for (let now = sweepMs; ; now += sweepMs) {
      if (now === 10 * sweepMs) keeper.step(now, { kind: "changed", row }, effects);
      keeper.step(now, { kind: "wake" }, effects);
      if (effects.some(({ kind }) => kind === "lose")) return now;
    }
  };
  const sweptAt = Math.ceil(detectMs / sweepMs) * sweepMs;
  assert.equal(lostAt({ ...first, overallSpentMs: 5 }), sweptAt);
  assert.equal(lostAt(second), sweptAt + 10 * sweepMs);
});
