// A service whose newest orders are lost: no rule lets a machine change, and each knows what to go back to.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AssignmentRule, settledRelease } from "../../../core/rollout/assignment-rules.ts";
import { keptRow, keptRules } from "../../../core/rollout/kept-service.ts";

const WHOM = { targets: {}, excludedRegions: [] };

function rule(phase: AssignmentRule<string>["phase"]): AssignmentRule<string> {
  const nothing = {
    ...{ fallback: undefined, waves: [], paused: false, traceparent: "", urgent: false },
  };
  return { ...WHOM, ...nothing, rollout: "r", release: "one", phase, before: undefined };
}

const RULES = [
  { phase: "open", becomes: { phase: "open", paused: true } },
  { phase: "final", becomes: { phase: "frozen", paused: false } },
  { phase: "rollback", becomes: { phase: "rollback", paused: false } },
  { phase: "frozen", becomes: { phase: "frozen", paused: false } },
] as const;

for (const { phase, becomes } of RULES) {
  test(`a rule that is ${phase} becomes ${becomes.phase}${becomes.paused ? " and paused" : ""}`, () => {
    const [kept] = keptRules([rule(phase)]);
    assert.deepEqual({ phase: kept?.phase, paused: kept?.paused }, becomes);
    assert.deepEqual(keptRules(keptRules([rule(phase)])), keptRules([rule(phase)]));
  });
}

test("what was final is still what machines would go back to", () => {
  assert.equal(settledRelease(keptRules([rule("final")]), WHOM), "one");
});

const ROWS = [
  { state: "waiting", isPaused: true },
  { state: "baking", isPaused: true },
  { state: "rolling_back", isPaused: false },
  { state: "succeeded", isPaused: false },
] as const;

for (const { state, isPaused } of ROWS) {
  test(`a rollout that is ${state} is ${isPaused ? "paused" : "left as it is"}`, () => {
    assert.deepEqual(keptRow({ state, paused: false }), { state, paused: isPaused });
  });
}
