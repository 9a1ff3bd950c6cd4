// The leader's account of permits, where a relay is ended: what it had left is not lost with it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PermitBook, type Room } from "../../../core/rollout/permits.ts";
import type { WaveTally } from "../../../core/rollout/tally.ts";

const EPOCH = 7;
/** Two may be out at a time, of six machines. */
const ROOM: Room = { slots: 2, machines: 6 };
const A = { relay: "a", boot: "1" };
const B = { relay: "b", boot: "1" };

const tally = (counts: Partial<WaveTally>): WaveTally => ({
  ...{ wave: 0, members: 4, healthy: 0, epoch: EPOCH },
  ...{ granted: 0, succeeded: 0, failed: 0, returned: 0 },
  ...counts,
});

/** A book in which relay a may hand out what is left of two slots, and has handed out one permit. */
function grantedToA(): PermitBook {
  const settled = { succeeded: 0, failed: 0 };
  const book = new PermitBook(EPOCH, 5_000, { ledgers: [], settled, at: 0 });
  const [grant] = book.allot(0, [{ ...A, machines: 4 }], ROOM);
  assert.deepEqual([grant?.relay, grant?.together], ["a", 2]);
  return book;
}

/** What is left of the room. */
function left(book: PermitBook, at: number): Room {
  const { out, held, succeeded } = book.count(at, 0);
  return { slots: ROOM.slots - held, machines: ROOM.machines - out - succeeded };
}

test("what a relay has left holds its slots while it may still hand it out", () => {
  const book = grantedToA();
  book.heard(1, { ...A, isClosed: false }, tally({ granted: 1, succeeded: 1 }));
  assert.equal(left(book, 1).slots, 0);
  assert.deepEqual(book.allot(1, [{ ...B, machines: 2 }], left(book, 1)), []);
});

test("what a relay that closes has left is another's at once, and what it handed out is not", () => {
  const book = grantedToA();
  book.heard(1, { ...A, isClosed: true }, tally({ granted: 2, succeeded: 1 }));
  assert.deepEqual(left(book, 1), { slots: 1, machines: 4 });
  const grants = book.allot(1, [{ ...B, machines: 2 }], left(book, 1));
  assert.deepEqual(
    grants.map(({ relay, together }) => [relay, together]),
    [["b", 1]],
  );
  // A quota that was on its way to it when it said so is worth nothing either.
  const other = grantedToA();
  other.heard(1, { ...A, isClosed: false }, tally({ granted: 2, succeeded: 2 }));
  other.allot(2, [{ ...A, machines: 2 }], left(other, 2));
  other.heard(3, { ...A, isClosed: true }, tally({ granted: 2, succeeded: 2 }));
  assert.deepEqual(left(other, 3), { slots: 2, machines: 4 });
});
