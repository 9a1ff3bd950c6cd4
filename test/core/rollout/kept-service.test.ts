// A service whose newest orders are lost: no rule lets a machine change by itself until a rollout succeeds, and each
// knows what to go back to.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type AssignmentRule,
  revised,
  settledRelease,
} from "../../../core/rollout/assignment-rules.ts";
import { keptRow, keptRules } from "../../../core/rollout/kept-service.ts";
import type { AssignPhase } from "../../../core/rollout/rollout-facts.ts";

type Rules = readonly AssignmentRule<string>[];

/** The rules after rollout `id`, which brings a release of the same name, has come to this phase. */
function assigned(rules: Rules, id: string, phase: AssignPhase, region = ""): Rules {
  const excludedRegions = region === "" ? [] : [region];
  const whom = { targets: {}, excludedRegions };
  const rollout = {
    ...{ id, release: id, previous: settledRelease(rules, whom), traceparent: "" },
    policy: { targets: {}, waves: [] },
    excludedRegions,
    row: { waves: [], paused: false },
  };
  return revised(rules, rollout, phase);
}

const FIRST = assigned([], "one", "final");

const RULES = [
  { phase: "open", becomes: { phase: "open", paused: true } },
  { phase: "final", becomes: { phase: "frozen", paused: false } },
  { phase: "rollback", becomes: { phase: "rollback", paused: false } },
  { phase: "frozen", becomes: { phase: "frozen", paused: false } },
] as const;

for (const { phase, becomes } of RULES) {
  test(`a rule that is ${phase} becomes ${becomes.phase}${becomes.paused ? " and paused" : ""}`, () => {
    const rules = assigned(FIRST, "two", phase);
    const [kept] = keptRules(rules);
    assert.deepEqual({ phase: kept?.phase, paused: kept?.paused }, becomes);
    assert.deepEqual(keptRules(keptRules(rules)), keptRules(rules));
  });
}

const ENDS = [
  { end: "withdrawn", becomes: "one is frozen" },
  { end: "restored", becomes: "one is frozen" },
  { end: "frozen", becomes: "two is frozen" },
  { end: "final", becomes: "two is final" },
] as const;

for (const { end, becomes } of ENDS) {
  for (const kept of ["before it begins", "while it is open", "while it goes back"] as const) {
    test(`kept ${kept}, after a rollout that ends ${end} ${becomes}`, () => {
      let rules = FIRST;
      if (kept === "before it begins") rules = keptRules(rules);
      rules = assigned(rules, "two", "open");
      if (kept === "while it is open") rules = keptRules(rules);
      rules = assigned(rules, "two", "rollback");
      if (kept === "while it goes back") rules = keptRules(rules);
      rules = assigned(rules, "two", end);
      assert.deepEqual(
        rules.map(({ release, phase }) => `${release} is ${phase}`),
        [becomes],
      );
    });
  }
}

interface Step {
  readonly rollout: string;
  readonly region: string;
  readonly phase: AssignPhase;
}

function steps(...phases: readonly AssignPhase[]): fc.Arbitrary<readonly Step[]> {
  const step = fc.record({
    rollout: fc.constantFrom("one", "two", "three", "four"),
    region: fc.constantFrom("", "north"),
    phase: fc.constantFrom(...phases),
  });
  return fc.array(step, { maxLength: 8 });
}

function walk(rules: Rules, walked: readonly Step[]): Rules {
  return walked.reduce(
    (so, { rollout, region, phase }) => assigned(so, rollout + region, phase, region),
    rules,
  );
}

test("whatever was and comes, nothing is final before a rollout succeeds, and what to go back to stays", () => {
  const before = steps("open", "final", "rollback", "frozen", "withdrawn", "restored");
  const after = steps("open", "rollback", "frozen", "withdrawn", "restored");
  fc.assert(
    fc.property(before, after, (earlier, later) => {
      const stood = walk([], earlier);
      const kept = walk(keptRules(stood), later);
      assert.deepEqual(
        kept.filter(({ phase }) => phase === "final"),
        [],
      );
      for (const { targets, excludedRegions } of stood) {
        const whom = { targets, excludedRegions };
        const own = stood.find((rule) => rule.excludedRegions.join() === excludedRegions.join());
        if (own?.phase !== "final" && own?.before === undefined) continue;
        assert.equal(settledRelease(kept, whom), settledRelease(stood, whom));
      }
    }),
  );
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
