// Contract of the store: transactions, compares and limits.
import { strict as assert } from "node:assert";
import type { Compare, Operation } from "../../runtime/store/store.ts";
import { StoreLimitError } from "../../runtime/store/store-errors.ts";
import {
  LEASE_TTL_MS_MAX,
  STORE_KEY_BYTES_MAX,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_OPERATIONS_MAX,
} from "../../runtime/store/store-limits.ts";
import { openedCase } from "./opened-case.ts";
import { bytes, type OpenStore, put, remove, text } from "./opened-store.ts";

/** Registers the cases. */
export function transactionCases(open: OpenStore): void {
  openedCase(open, "a put is read back with its revisions and version", async ({ store }) => {
    assert.equal(await store.get("a"), undefined);
    const first = await put(store, { a: "1" });
    const second = await put(store, { a: "2", b: "x" });
    assert.equal(second, first + 1, "one revision a transaction, whatever it holds");
    const a = await store.get("a");
    assert.deepEqual(
      { ...a, value: text(a) },
      {
        key: "a",
        value: "2",
        createRevision: first,
        modRevision: second,
        version: 2,
      },
    );
    assert.equal((await store.get("b"))?.modRevision, second);
  });

  openedCase(open, "a value may be empty, and is copied when asked", async ({ store }) => {
    const value = bytes("before");
    const operations = [
      { put: "empty", value: bytes("") },
      { put: "kept", value },
    ];
    const done = store.transact({ compares: [], operations });
    value.fill(0);
    await done;
    assert.equal((await store.get("empty"))?.value.length, 0);
    assert.equal(text(await store.get("kept")), "before");
  });

  openedCase(open, "what writes nothing takes no revision", async ({ store }) => {
    const revision = await put(store, { a: "1" });
    assert.equal(await remove(store, "absent"), revision);
    const empty = await store.transact({ compares: [], operations: [] });
    assert.deepEqual(empty, { committed: true, revision });
    const created = await put(store, { a: "2" });
    await remove(store, "a");
    assert.equal(await store.get("a"), undefined);
    const again = await put(store, { a: "3" });
    const entry = await store.get("a");
    assert.deepEqual([created, entry?.version, entry?.createRevision], [revision + 1, 1, again]);
  });

  openedCase(open, "compares hold or not, all operations or none", async ({ store }) => {
    const created = await put(store, { a: "1" });
    const modified = await put(store, { a: "2" });
    const table: readonly [Compare, boolean][] = [
      [{ key: "a", is: "present" }, true],
      [{ key: "a", is: "absent" }, false],
      [{ key: "none", is: "absent" }, true],
      [{ key: "none", is: "present" }, false],
      [{ key: "a", modRevision: modified }, true],
      [{ key: "a", modRevision: created }, false],
      [{ key: "none", modRevision: 0 }, true],
      [{ key: "a", createRevision: created }, true],
      [{ key: "a", createRevision: modified }, false],
      [{ key: "none", createRevision: 0 }, true],
      [{ key: "a", value: bytes("2") }, true],
      [{ key: "a", value: bytes("1") }, false],
      [{ key: "a", value: bytes("") }, false],
      [{ key: "none", value: bytes("") }, false],
    ];
    for (const [index, [compare, holds]] of table.entries()) {
      const operations = [{ put: `out/${index}`, value: bytes("x") }];
      const compares: Compare[] = [{ key: "a", is: "present" }, compare];
      const result = await store.transact({ compares, operations });
      assert.equal(result.committed, holds, JSON.stringify(compare));
      assert.equal((await store.get(`out/${index}`)) !== undefined, holds);
      if (result.committed) continue;
      assert.deepEqual(
        result.current.map(text),
        ["2", compare.key === "a" ? "2" : undefined],
        "the entries of the compares' keys, in their order",
      );
    }
  });

  openedCase(open, "of concurrent transactions one wins the compare", async ({ store }) => {
    for (let round = 0; round < 5; round += 1) {
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          store.transact({
            compares: [{ key: `lock/${round}`, is: "absent" }],
            operations: [
              { put: `lock/${round}`, value: bytes(`${index}`) },
              { put: `won/${round}/${index}`, value: bytes("") },
            ],
          }),
        ),
      );
      const winners = [...results.keys()].filter((index) => results[index]?.committed);
      assert.equal(winners.length, 1);
      assert.equal(text(await store.get(`lock/${round}`)), `${winners[0]}`);
      const { entries } = await store.range({ prefix: `won/${round}/` });
      assert.deepEqual(
        entries.map(({ key }) => key),
        [`won/${round}/${winners[0]}`],
      );
    }
  });

  openedCase(open, "concurrent increments lose nothing", async ({ store }) => {
    await put(store, { counter: "0" });
    const increment = async () => {
      while (true) {
        const entry = await store.get("counter");
        const value = bytes(`${Number(text(entry)) + 1}`);
        const { committed } = await store.transact({
          compares: [{ key: "counter", modRevision: entry?.modRevision ?? 0 }],
          operations: [{ put: "counter", value }],
        });
        if (committed) return;
      }
    };
    await Promise.all(Array.from({ length: 30 }, increment));
    assert.equal(text(await store.get("counter")), "30");
  });

  openedCase(
    open,
    "a transaction at the limits passes, over them it is refused",
    async ({ store }) => {
      const puts = (count: number): Operation[] =>
        Array.from({ length: count }, (_, index) => ({ put: `k${index}`, value: bytes("v") }));
      const compares: Compare[] = [{ key: "none", is: "absent" }];
      const full = puts(TRANSACTION_OPERATIONS_MAX - 1);
      assert((await store.transact({ compares, operations: full })).committed);
      const before = (await store.range({ prefix: "" })).revision;
      const refused = async (operations: Operation[], message: RegExp, conditions = compares) => {
        const done = store.transact({ compares: conditions, operations });
        await assert.rejects(done, (error: Error) => {
          assert(error instanceof StoreLimitError);
          assert.match(error.message, message);
          return true;
        });
      };
      await refused(puts(TRANSACTION_OPERATIONS_MAX), /129 .*limit is 128/);
      const big = (size: number): Operation[] => [{ put: "big", value: new Uint8Array(size) }];
      const room = TRANSACTION_BYTES_MAX - "big".length;
      await refused(big(room + 1), /1048577 bytes.*limit is 1048576/, []);
      await refused(big(room), /1048580 bytes/, [{ key: "none", is: "absent" }]);
      await refused([{ delete: "" }], /0 bytes/);
      await refused([{ delete: "é".repeat(STORE_KEY_BYTES_MAX / 2 + 1) }], /1026 bytes/);
      await refused([{ put: "nul\0", value: bytes("") }], /NUL/);
      await refused([{ put: "lone \ud800", value: bytes("") }], /well-formed/);
      await refused([{ delete: "k" }, { put: "k", value: bytes("") }], /twice/);
      await refused([], /0 bytes/, [{ key: "", is: "absent" }]);
      assert.equal((await store.range({ prefix: "" })).revision, before, "nothing happened");
      assert((await store.transact({ compares: [], operations: big(room) })).committed);
      const longest = "é".repeat(STORE_KEY_BYTES_MAX / 2);
      await put(store, { [longest]: "long" });
      assert.equal(text(await store.get(longest)), "long");
    },
  );

  openedCase(open, "a key or lease time out of bounds is refused", async ({ store }) => {
    await assert.rejects(store.get(""), StoreLimitError);
    for (const ttlMs of [0, -1, 1.5, Number.NaN, LEASE_TTL_MS_MAX + 1]) {
      await assert.rejects(store.grantLease(ttlMs), StoreLimitError, `${ttlMs}`);
    }
  });
}
