// Which packs a machine keeps for others, and that it keeps no more than it may but for those that must stay.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { packsToDrop } from "../../../core/fleet/piece-cache.ts";

const pack = (name: string, bytes: number, lastUsedAt: number, holdUntil = 0, busy = false) => ({
  ...{ name, bytes, lastUsedAt, holdUntil, busy },
});
const isBusy = ({ busy }: { readonly busy: boolean }) => busy;

test("the longest unused pack goes first; who is held or busy stays, and others go instead", () => {
  const dropped = (packs: ReturnType<typeof pack>[], bytesMax: number): string =>
    packsToDrop(packs, 100, bytesMax, isBusy)
      .map(({ name }) => name)
      .join(" ");
  const three = [pack("new", 10, 3), pack("old", 10, 1), pack("mid", 10, 2)];
  assert.equal(dropped(three, 30), "");
  assert.equal(dropped(three, 29), "old");
  assert.equal(dropped(three, 10), "old mid");
  assert.equal(dropped(three, 0), "old mid new");
  const held = [pack("held", 10, 1, 101), pack("mid", 10, 2), pack("new", 10, 3)];
  assert.equal(dropped(held, 20), "mid");
  assert.equal(dropped([pack("over", 10, 1, 100), pack("new", 10, 3)], 10), "over");
  assert.equal(dropped([pack("asked for", 10, 1, 0, true), pack("new", 10, 3)], 0), "new");
});

test("what is left is within the budget or must stay, and nothing goes in vain", () => {
  const one = fc.record({
    ...{ bytes: fc.nat(50), lastUsedAt: fc.nat(9), holdUntil: fc.nat(20), busy: fc.boolean() },
  });
  fc.assert(
    fc.property(fc.array(one), fc.nat(20), fc.nat(300), (idle, now, bytesMax) => {
      const dropped = packsToDrop(idle, now, bytesMax, isBusy);
      const left = idle.filter((each) => !dropped.includes(each));
      const mustStay = (each: (typeof idle)[number]) => each.busy || now < each.holdUntil;
      const bytes = left.reduce((sum, each) => sum + each.bytes, 0);
      assert.ok(bytes <= bytesMax || left.every(mustStay));
      assert.ok(!dropped.some(mustStay));
      const last = dropped.at(-1);
      if (last !== undefined) assert.ok(bytes + last.bytes > bytesMax);
      for (const gone of dropped)
        for (const kept of left) assert.ok(mustStay(kept) || gone.lastUsedAt <= kept.lastUsedAt);
    }),
  );
});
