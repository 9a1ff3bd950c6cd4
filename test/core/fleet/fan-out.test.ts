// Who is told what, in which order, where words come faster than they can be told.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FanOut } from "../../../core/fleet/fan-out.ts";

const told = (fanOut: FanOut<string, string>, count: number): string =>
  fanOut
    .next(count)
    .map(({ member, word }) => `${member}:${word}`)
    .join(" ");

test("tells all, so many at a time", () => {
  const fanOut = new FanOut<string, string>();
  fanOut.say("web", "1", ["a", "b", "c"]);
  assert.equal(told(fanOut, 2), "a:1 b:1");
  assert.equal(fanOut.isOver, false);
  assert.equal(told(fanOut, 2), "c:1");
  assert.equal(fanOut.isOver, true);
});

test("of two words, those that have not heard the first hear only the second, and first of all", () => {
  const fanOut = new FanOut<string, string>();
  fanOut.say("web", "1", ["a", "b", "c"]);
  assert.equal(told(fanOut, 1), "a:1");
  fanOut.say("web", "2", ["a", "b", "c", "d"]);
  assert.equal(told(fanOut, 9), "b:2 c:2 a:2 d:2");
});

test("topics do not wait for each other, and one member can be taken out of its turn", () => {
  const fanOut = new FanOut<string, string>();
  fanOut.say("web", "1", ["a", "b"]);
  fanOut.say("db", "2", ["a", "b"]);
  assert.equal(fanOut.settle("web", "b"), "1");
  assert.equal(fanOut.settle("web", "b"), undefined);
  assert.equal(told(fanOut, 1), "a:1 a:2");
  assert.equal(told(fanOut, 1), "b:2");
  assert.equal(fanOut.isOver, true);
});

test("a topic can be taken away from those that have yet to hear of it", () => {
  const fanOut = new FanOut<string, string>();
  fanOut.say("web", "1", ["a", "b", "c"]);
  assert.equal(told(fanOut, 1), "a:1");
  assert.deepEqual([fanOut.awaits("web", "a"), fanOut.awaits("web", "b")], [false, true]);
  const { word, members = [] } = fanOut.take("web") ?? {};
  assert.deepEqual([word, [...members]], ["1", ["b", "c"]]);
  assert.deepEqual([fanOut.take("web"), fanOut.isOver], [undefined, true]);
});

test("a topic can be taken away from some, and the others keep their turns", () => {
  const fanOut = new FanOut<string, string>();
  fanOut.say("web", "1", ["a", "b", "c"]);
  const taken = fanOut.take("web", (member) => member !== "b");
  assert.deepEqual(taken, { word: "1", members: ["a", "c"] });
  assert.equal(
    fanOut.take("web", (member) => member !== "b"),
    undefined,
  );
  assert.deepEqual([fanOut.awaitsAny("web"), fanOut.awaitsAny("db")], [true, false]);
  assert.equal(told(fanOut, 9), "b:1");
  assert.equal(fanOut.awaitsAny("web"), false);
});

test("everybody has heard the last word in the end, and no word twice", () => {
  const move = fc.oneof(
    fc.record({ kind: fc.constant("say" as const) }),
    fc.record({ kind: fc.constant("next" as const), count: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant("settle" as const), member: fc.constantFrom("a", "b", "c") }),
  );
  fc.assert(
    fc.property(fc.array(move, { maxLength: 30 }), (moves) => {
      const members = ["a", "b", "c"];
      const fanOut = new FanOut<string, number>();
      const heard = new Map<string, number>();
      const hear = (member: string, word: number): void => {
        assert.ok(word > (heard.get(member) ?? 0), `${member} heard ${word} again`);
        heard.set(member, word);
      };
      let last = 0;
      for (const one of [...moves, { kind: "next" as const, count: 3 }]) {
        if (one.kind === "say") {
          last += 1;
          fanOut.say("web", last, members);
        } else if (one.kind === "next") {
          for (const { member, word } of fanOut.next(one.count)) hear(member, word);
        } else {
          const word = fanOut.settle("web", one.member);
          if (word !== undefined) hear(one.member, word);
        }
      }
      assert.equal(fanOut.isOver, true);
      if (last > 0) for (const member of members) assert.equal(heard.get(member), last);
    }),
  );
});
