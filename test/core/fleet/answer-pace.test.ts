// How often an agent is answered, whatever it asks.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ANSWER_MS, AnswerPace } from "../../../core/fleet/answer-pace.ts";

test("threat 10: each swarm is answered about once a second at most, and 512 of them", () => {
  const ask = fc.record({ swarm: fc.integer({ min: 0, max: 600 }), ms: fc.nat({ max: 20 }) });
  fc.assert(
    fc.property(fc.array(ask, { maxLength: 2_000 }), (asks) => {
      const pace = new AnswerPace();
      const answers: { swarm: number; at: number }[] = [];
      let now = 0;
      for (const { swarm, ms } of asks) {
        now += ms;
        const recent = answers.filter(({ at }) => now < at + ANSWER_MS);
        const last = recent.find((one) => one.swarm === swarm);
        const dueAt = pace.dueAt(now, `${swarm}`);
        if (last !== undefined) assert.equal(dueAt, last.at + ANSWER_MS);
        else assert.equal(dueAt, recent.length < 512 ? now : undefined);
        if (dueAt !== now) continue;
        pace.answered(now, `${swarm}`);
        answers.push({ swarm, at: now });
      }
    }),
  );
});

test("more than 512 swarms at once are refused, and taken a second later", () => {
  const pace = new AnswerPace();
  for (let swarm = 0; swarm < 512; swarm += 1) {
    assert.equal(pace.dueAt(0, `${swarm}`), 0);
    pace.answered(0, `${swarm}`);
  }
  assert.equal(pace.dueAt(ANSWER_MS - 1, "one more"), undefined);
  assert.equal(pace.dueAt(ANSWER_MS, "one more"), ANSWER_MS);
});
