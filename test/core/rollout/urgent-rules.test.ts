// How long the packs of an urgent rollout go before others.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AssignmentRule, revised } from "../../../core/rollout/assignment-rules.ts";

const PHASES = ["open", "rollback", "final", "frozen"] as const;

const rollout = (urgent: boolean) => ({
  ...{ id: "r", release: "new", previous: "old", excludedRegions: [], traceparent: "" },
  policy: { targets: {}, waves: [], urgent },
  row: { waves: [], paused: false },
});

test("the rule of an urgent rollout is urgent until it has ended", () => {
  const isUrgent = (urgent: boolean) =>
    PHASES.map((phase) => revised([], rollout(urgent), phase)[0]?.urgent);
  assert.deepEqual(isUrgent(true), [true, true, false, false]);
  assert.deepEqual(isUrgent(false), [false, false, false, false]);
});

test("what was there before an urgent rollout is as it was when that is taken back", () => {
  const [before] = revised([], { ...rollout(false), id: "earlier", release: "old" }, "final");
  const list: readonly AssignmentRule<string>[] = before === undefined ? [] : [before];
  const open = revised(list, rollout(true), "open");
  assert.equal(open[0]?.urgent, true);
  assert.deepEqual(revised(open, rollout(true), "withdrawn"), list);
});
