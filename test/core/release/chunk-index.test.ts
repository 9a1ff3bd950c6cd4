// The chunk index against a plain search.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ChunkIndex } from "../../../core/release/chunk-index.ts";

/** Digests over few values, so that prefixes and whole digests repeat. */
const digest = fc.tuple(fc.nat(3), fc.nat(255), fc.nat(2)).map(([head, middle, tail]) => {
  const bytes = new Uint8Array(32);
  bytes[0] = head * 80;
  bytes[5] = middle;
  bytes[31] = tail;
  return bytes;
});

describe("chunk index", () => {
  it("finds the first row of each digest, and none of others", () => {
    fc.assert(
      fc.property(fc.array(digest, { maxLength: 60 }), fc.array(digest), (rows, asked) => {
        const digests = Buffer.concat(rows);
        const index = new ChunkIndex(digests);
        for (const one of [...rows, ...asked]) {
          const expected = rows.findIndex((row) => Buffer.compare(row, one) === 0);
          assert.equal(index.rowOf(digests, one, 0), expected);
        }
      }),
    );
  });

  it("joins two indexes as comparing all pairs would", () => {
    fc.assert(
      fc.property(
        fc.array(digest, { maxLength: 40 }),
        fc.array(digest, { maxLength: 40 }),
        (a, b) => {
          const pairs: string[] = [];
          const other = new ChunkIndex(Buffer.concat(b));
          new ChunkIndex(Buffer.concat(a)).join(other, (row, otherRow) => {
            const same = Buffer.compare(a[row] as Uint8Array, b[otherRow] as Uint8Array) === 0;
            if (same) pairs.push(`${row} ${otherRow}`);
          });
          const expected = a.flatMap((x, i) =>
            b.flatMap((y, j) => (Buffer.compare(x, y) === 0 ? [`${i} ${j}`] : [])),
          );
          assert.deepEqual(pairs.sort(), expected.sort());
        },
      ),
    );
  });

  it("holds two million rows in 16 MiB and refuses more than fit", () => {
    const digests = new Uint8Array(32 * 2_000_000);
    const words = new Uint32Array(digests.buffer);
    for (let row = 0; row < 2_000_000; row += 1) {
      words[row * 8] = Math.imul(row, 0x9e3779b1);
      words[row * 8 + 1] = Math.imul(row ^ 0x5bd1e995, 0x85ebca6b);
    }
    const before = process.memoryUsage().arrayBuffers;
    const index = new ChunkIndex(digests);
    const heldBytes = process.memoryUsage().arrayBuffers - before;
    assert.ok(heldBytes <= 32 * 1024 * 1024, `${heldBytes} bytes`);
    for (const row of [0, 1, 999_999, 1_999_999]) {
      assert.equal(index.rowOf(digests, digests, row * 32), row);
    }
    assert.throws(() => new ChunkIndex(digests, 2 ** 21 + 1), RangeError);
  });
});
