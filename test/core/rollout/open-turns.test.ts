// The open rollouts of a leader: each is taken up once whatever order rows are read in, none after its end, and the one
// whose turn it is is let in once.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type OpenRow, OpenTurns } from "../../../core/rollout/open-turns.ts";

/** A row; its number says when it began. */
function row(number: number, change: Partial<OpenRow> = {}): OpenRow {
  const id = `r${number}`;
  const state = "waiting" as const;
  return { id, service: "web", createdAtMs: number, supersede: false, row: { state }, ...change };
}

test("a rollout is taken up once", () => {
  const turns = new OpenTurns();
  assert.deepEqual(turns.read(row(1), turns.moment), { kind: "run", superseded: [] });
  assert.deepEqual(turns.read(row(1), turns.moment), { kind: "nothing" });
  assert.deepEqual(turns.read(undefined, turns.moment), { kind: "nothing" });
});

test("a row that is of before an end is read again, and one that has ended is left alone", () => {
  const turns = new OpenTurns();
  turns.read(row(1), turns.moment);
  const { moment } = turns;
  turns.ended("r1");
  assert.deepEqual(turns.read(row(1), moment), { kind: "read-again" });
  const ended = row(1, { row: { state: "succeeded" } });
  assert.deepEqual(turns.read(ended, turns.moment), { kind: "nothing" });
});

test("who waits is let in once, when the turn has come to it", () => {
  const turns = new OpenTurns();
  turns.read(row(1, { row: { state: "activating" } }), turns.moment);
  turns.read(row(2), turns.moment);
  assert.ok(!turns.letIn(undefined));
  assert.ok(!turns.letIn("r1"));
  turns.ended("r1");
  assert.ok(!turns.letIn("r1"));
  assert.ok(turns.letIn("r2"));
  assert.ok(!turns.letIn("r2"));
});

test("whatever order rows are read in, older ones give way to a newer one that supersedes", () => {
  const rows = fc.uniqueArray(
    fc.record({ number: fc.nat(9), supersede: fc.boolean(), service: fc.constantFrom("a", "b") }),
    { selector: ({ number }) => number, minLength: 1 },
  );
  fc.assert(
    fc.property(rows, (drawn) => {
      const turns = new OpenTurns();
      const told = new Set<string>();
      for (const { number, ...rest } of drawn) {
        const opening = turns.read(row(number, rest), turns.moment);
        assert.equal(opening.kind, "run");
        for (const id of opening.kind === "run" ? opening.superseded : []) told.add(id);
      }
      const expected = drawn.filter((older) =>
        drawn.some(
          (newer) =>
            newer.supersede && newer.service === older.service && newer.number > older.number,
        ),
      );
      assert.deepEqual(told, new Set(expected.map(({ number }) => `r${number}`)));
    }),
  );
});
