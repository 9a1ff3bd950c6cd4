// Sums over relays while machines are on their way from one to another: a wave is not drawn from what counts them
// twice, and not put off for ever either.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isSettled, SETTLE_MS_MAX } from "../../../core/rollout/settling.ts";
import { WaveDraw } from "../../../core/rollout/wave-draw.ts";

const RELAYS = ["one", "other"];
const HASHES = Array.from({ length: 10 }, (_, index) => index * 1_000);

/** What a relay answers that counts these machines, of which so many broke off a moment ago. */
function answer(hashes: readonly number[], away: number) {
  return { counts: [hashes.length], lowest: hashes, total: hashes.length, away };
}

/** Has all relays answer what is asked at an instant. */
function round(draw: WaveDraw, at: number, away: number) {
  const question = draw.ask(at, RELAYS);
  if (question === undefined) return undefined;
  // All have come to the other one, and the first still counts those that are away.
  draw.answered(at, "one", question.query, answer(HASHES.slice(0, away), away));
  return draw.answered(at, "other", question.query, answer(HASHES, 0)).wave;
}

test("fault 24: machines that have come to another relay are not counted twice", () => {
  const draw = new WaveDraw(50, 0);
  assert.equal(round(draw, 0, 10), undefined);
  assert.equal(round(draw, 3_000, 4), undefined);
  assert.equal(round(draw, 6_000, 0)?.size, 5);
});

test("a fleet that never settles is taken as it is after half a minute", () => {
  const draw = new WaveDraw(50, 0);
  for (let at = 0; at < SETTLE_MS_MAX; at += 3_000) assert.equal(round(draw, at, 10), undefined);
  assert.equal(round(draw, SETTLE_MS_MAX, 10)?.size, 10);
});

test("one machine in a hundred may come and go", () => {
  assert.ok(isSettled({ away: 1, total: 100 }, 0, 0));
  assert.ok(!isSettled({ away: 1, total: 99 }, 0, 0));
  assert.ok(!isSettled({ away: 2, total: 100 }, 0, 0));
});
