// Whose turn it is to be offered something: who takes least, where who is behind is forgiven some of that, then who is
// a little behind, then the next in turn.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PIECES_MAX } from "../../../core/release/limits.ts";
import { Turns } from "../../../core/swarm/turns.ts";

/** Of 100 pieces that are here, what neighbours take now and how many pieces they have, and who is next in which order. */
function check(name: string, rows: readonly (readonly [number, number])[], order: number[]): void {
  test(name, () => {
    const turns = new Turns(rows.length);
    for (const [place, [load, settled]] of rows.entries()) {
      turns.add(place);
      turns.open(place, load, settled);
    }
    const places = order.map(() => turns.next(100));
    assert.deepEqual(places, order);
  });
}

check(
  "of some that are about as far each has its turn",
  [
    [0, 80],
    [0, 81],
    [0, 82],
  ],
  [0, 1, 2, 0, 1, 2],
);
check(
  "who lacks four pieces more goes first, again and again",
  [
    [0, 84],
    [0, 80],
    [0, 88],
  ],
  [1, 1, 1],
);
check(
  "who takes less goes before who is behind",
  [
    [6, 80],
    [0, 92],
  ],
  [1, 1],
);
check(
  "of who is sixteen pieces behind a block less counts, of who is thirty-two two",
  [
    [2, 84],
    [2, 68],
    [1, 98],
  ],
  [1, 1],
);
check(
  "who takes a block more than is forgiven waits",
  [
    [3, 70],
    [1, 98],
  ],
  [1, 1],
);
check(
  "who has all that there can ever be is never behind",
  [
    [1, PIECES_MAX],
    [2, 84],
  ],
  [1, 1],
);
check(
  "who came late has its turn like who has all",
  [
    [0, 100],
    [0, 3],
  ],
  [0, 1, 0, 1],
);

test("nobody who is closed has a turn", () => {
  const turns = new Turns(2);
  for (const place of [0, 1]) {
    turns.add(place);
    turns.open(place, 0, 50);
  }
  turns.close(0);
  assert.equal(turns.next(100), 1);
  turns.remove(1);
  assert.equal(turns.next(100), undefined);
});
