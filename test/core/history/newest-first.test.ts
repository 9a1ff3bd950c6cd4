// Paging through the past, however it is divided among the store and segments of the archive, and with rows that
// lie in several places: each row once, newest first, none left out.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isPageKnown, newestFirst } from "../../../core/history/newest-first.ts";

const END = "~";
const place = fc.integer({ min: 0, max: 40 }).map((at) => String(at).padStart(2, "0"));
const revision = fc.integer({ min: 1, max: 5 });
const placed = fc.record({ place, revision }, { noNullPrototype: true });

test("each place once, as it was at its highest revision, and only those below the one before", () => {
  fc.assert(
    fc.property(fc.array(placed), place, (rows, before) => {
      const listed = newestFirst(rows, before);
      const expected = [...new Set(rows.map((row) => row.place))]
        .filter((at) => at < before)
        .sort()
        .reverse();
      assert.deepEqual(
        listed.map((row) => row.place),
        expected,
      );
      for (const row of listed) {
        const same = rows.filter((one) => one.place === row.place);
        assert.equal(row.revision, Math.max(...same.map(({ revision }) => revision)));
      }
    }),
  );
});

test("a page that counts as known does not change when the rest is read", () => {
  const sources = fc.array(fc.array(placed), { maxLength: 5 });
  fc.assert(
    fc.property(sources, fc.integer({ min: 1, max: 8 }), (unread, count) => {
      const read: (typeof unread)[number] = [];
      const segments = unread
        .filter(({ length }) => length > 0)
        .map((rows) => ({
          rows,
          reach: `${rows
            .map((row) => row.place)
            .sort()
            .at(-1)}+`,
        }))
        .sort((a, b) => (a.reach < b.reach ? 1 : -1));
      const all = newestFirst(unread.flat(), END).slice(0, count);
      for (const { rows, reach } of segments) {
        if (isPageKnown(newestFirst(read, END), count, reach)) {
          const page = newestFirst(read, END).slice(0, count);
          assert.deepEqual(page, all);
          return;
        }
        read.push(...rows);
      }
      assert.deepEqual(newestFirst(read, END).slice(0, count), all);
    }),
  );
});
