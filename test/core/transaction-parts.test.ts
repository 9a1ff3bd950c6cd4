// Many changes in few transactions: each once, in order, and none fuller than it may be.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { transactionsOf } from "../../runtime/store/transaction-parts.ts";

test("transactions hold each part once, in order, and are never fuller than they may be", () => {
  const part = fc.record({
    operations: fc.integer({ min: 1, max: 40 }),
    bytes: fc.integer({ min: 1, max: 4_000 }),
  });
  const room = { operations: 40, bytes: 4_000 };
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      const groups = transactionsOf(parts, room);
      assert.deepEqual(groups.flat(), parts);
      for (const group of groups) {
        assert.ok(group.length > 0);
        assert.ok(group.reduce((sum, one) => sum + one.operations, 0) <= room.operations);
        assert.ok(group.reduce((sum, one) => sum + one.bytes, 0) <= room.bytes);
      }
    }),
  );
});
