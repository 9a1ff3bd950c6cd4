// From when on the number of rows lets them stay: asked of a real store with just fewer, just as many and more
// of them than may.
import assert from "node:assert/strict";
import { test } from "node:test";
import { crowdedBefore } from "../../controlplane/history/cold-row.ts";
import { HOT_ROWS_MAX, timeDigits } from "../../core/history/archive-plan.ts";
import { TRANSACTION_OPERATIONS_MAX } from "../../runtime/store/store-limits.ts";
import { openSqliteForTest } from "./opened-sqlite.ts";

const PREFIX = "builds-by-state/succeeded/";
const VALUE = new Uint8Array(1);
const BEGAN_MS = 1_000_000;

test("as many as may stay tell the time of their oldest, so that what belongs to those before leaves too", async (t) => {
  const { store, dispose } = await openSqliteForTest();
  t.after(dispose);
  const put = async (from: number, to: number): Promise<void> => {
    for (let at = from; at < to; at += TRANSACTION_OPERATIONS_MAX) {
      const count = Math.min(TRANSACTION_OPERATIONS_MAX, to - at);
      const operations = Array.from({ length: count }, (_, index) => ({
        put: `${PREFIX}${timeDigits(BEGAN_MS + at + index)}-b-${at + index}`,
        value: VALUE,
      }));
      assert.ok((await store.transact({ compares: [], operations })).committed);
    }
  };
  assert.equal(await crowdedBefore(store, PREFIX), 0);
  await put(0, HOT_ROWS_MAX - 1);
  assert.equal(await crowdedBefore(store, PREFIX), 0);
  await put(HOT_ROWS_MAX - 1, HOT_ROWS_MAX);
  assert.equal(await crowdedBefore(store, PREFIX), BEGAN_MS);
  await put(HOT_ROWS_MAX, HOT_ROWS_MAX + 3);
  assert.equal(await crowdedBefore(store, PREFIX), BEGAN_MS + 3);
});
