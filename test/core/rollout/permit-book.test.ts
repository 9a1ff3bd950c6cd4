// The leader's account of permits, where a relay is ended or cut off: what it had left is not lost with it, and not
// granted twice.
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
function left(book: PermitBook, at: number, room = ROOM): Room {
  const { out, held, succeeded } = book.count(at, 0);
  return { slots: room.slots - held, machines: room.machines - out - succeeded };
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

test("relays whose quotas ran out on their way get no more together than there is room for", () => {
  const room: Room = { slots: 6, machines: 20 };
  const settled = { succeeded: 0, failed: 0 };
  const book = new PermitBook(EPOCH, 5_000, { ledgers: [], settled, at: 0 });
  const all = [A, B].map((relay) => ({ ...relay, machines: 6 }));
  assert.equal(book.allot(0, all, room).length, 2);
  // Both were cut off meanwhile. One is heard before the other, and takes what the other seems to leave.
  const together = new Map<string, number>();
  for (const [index, { relay, boot }] of [A, B].entries()) {
    book.heard(30_000, { relay, boot, isClosed: false }, tally({ granted: 0 }));
    for (const grant of book.allot(30_000, all.slice(0, index + 1), left(book, 30_000, room))) {
      together.set(grant.relay, grant.together);
    }
  }
  assert.deepEqual(Object.fromEntries(together), { a: 4, b: 2 });
  assert.equal(left(book, 30_000, room).slots, 0);
});

test("machines that went to another relay while a quota ran out are granted there, and the rest where they were", () => {
  const room: Room = { slots: 6, machines: 6 };
  const settled = { succeeded: 0, failed: 0 };
  const book = new PermitBook(EPOCH, 5_000, { ledgers: [], settled, at: 0 });
  book.allot(0, [{ ...A, machines: 6 }], room);
  book.heard(30_000, { ...A, isClosed: false }, tally({ granted: 0 }));
  const wants = [
    { ...B, machines: 2 },
    { ...A, machines: 4 },
  ];
  const grants = book.allot(30_000, wants, left(book, 30_000, room));
  assert.deepEqual(
    grants.map(({ relay, quota }) => [relay, quota]),
    [
      ["b", 2],
      ["a", 4],
    ],
  );
});
