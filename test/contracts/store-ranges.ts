// Contract of the store: ranges, their pages and snapshots.
import { strict as assert } from "node:assert";
import { type RangeOptions, type Store, scan } from "../../runtime/store/store.ts";
import { RevisionCompactedError, StoreLimitError } from "../../runtime/store/store-errors.ts";
import { RANGE_BYTES_MAX, RANGE_ENTRIES_MAX } from "../../runtime/store/store-limits.ts";
import { openedCase } from "./opened-case.ts";
import { bytes, isFirstAfter, type OpenStore, put, remove, text } from "./opened-store.ts";

/** In the order of their UTF-8 bytes, which is not the order of JavaScript's strings. */
const KEYS = [
  "a",
  "a/",
  "a/1",
  "a/2",
  "a0",
  "b",
  "é",
  "\uffee",
  "\u{10ffff}x",
  "\u{10ffff}\u{10ffff}",
];

/** Registers the cases. */
export function rangeCases(open: OpenStore): void {
  openedCase(open, "keys come in byte order, by prefix, from a position", async ({ store }) => {
    await put(store, Object.fromEntries([...KEYS].reverse().map((key) => [key, key])));
    const table: readonly [RangeOptions, readonly string[]][] = [
      [{ prefix: "" }, KEYS],
      [{ prefix: "", descending: true }, [...KEYS].reverse()],
      [{ prefix: "a" }, KEYS.slice(0, 5)],
      [{ prefix: "a/" }, ["a/", "a/1", "a/2"]],
      [{ prefix: "a/", descending: true }, ["a/2", "a/1", "a/"]],
      [{ prefix: "a/", after: "a/" }, ["a/1", "a/2"]],
      [{ prefix: "a/", after: "a/1" }, ["a/2"]],
      [{ prefix: "a/", after: "a/10" }, ["a/2"]],
      [{ prefix: "a/", after: "a" }, ["a/", "a/1", "a/2"]],
      [{ prefix: "a/", after: "b" }, []],
      [{ prefix: "a/", after: "a/2", descending: true }, ["a/1", "a/"]],
      [{ prefix: "a/", after: "b", descending: true }, ["a/2", "a/1", "a/"]],
      [{ prefix: "a/", after: "a", descending: true }, []],
      [{ prefix: "\u{10ffff}" }, KEYS.slice(8)],
      [{ prefix: "\u{10ffff}\u{10ffff}" }, KEYS.slice(9)],
      [{ prefix: "zz" }, []],
    ];
    for (const [options, expected] of table) {
      const { entries, more } = await store.range(options);
      assert.deepEqual(
        entries.map(({ key }) => key),
        expected,
        JSON.stringify(options),
      );
      assert.equal(more, false);
      const paged = await keysByPages(store, options, 2);
      assert.deepEqual(paged, expected, `by twos: ${JSON.stringify(options)}`);
    }
  });

  openedCase(open, "a page has at most 1,000 entries", async ({ store }) => {
    const names = Array.from({ length: RANGE_ENTRIES_MAX + 1 }, (_, i) => `n${10_000 + i}`);
    for (let at = 0; at < names.length; at += 100) {
      await put(store, Object.fromEntries(names.slice(at, at + 100).map((name) => [name, "v"])));
    }
    const page = await store.range({ prefix: "n" });
    assert.deepEqual([page.entries.length, page.more], [RANGE_ENTRIES_MAX, true]);
    const whole = await store.range({ prefix: "n", after: "n10000", limit: RANGE_ENTRIES_MAX });
    assert.deepEqual([whole.entries.length, whole.more], [RANGE_ENTRIES_MAX, false]);
    const scanned: string[] = [];
    for await (const { key } of scan(store, "n")) scanned.push(key);
    assert.deepEqual(scanned, names);
    for (const limit of [0, -1, 1.5, RANGE_ENTRIES_MAX + 1]) {
      await assert.rejects(store.range({ prefix: "n", limit }), StoreLimitError, `${limit}`);
    }
  });

  openedCase(open, "a page has at most 1 MiB, but an entry", async ({ store }) => {
    const half = new Uint8Array(RANGE_BYTES_MAX / 2 - 2);
    const sizes = { b0: half, b1: half, b2: half, b3: new Uint8Array(RANGE_BYTES_MAX - 2) };
    for (const [key, value] of Object.entries(sizes)) {
      await store.transact({ compares: [], operations: [{ put: key, value }] });
    }
    const first = await store.range({ prefix: "b" });
    assert.deepEqual([first.entries.map(({ key }) => key), first.more], [["b0", "b1"], true]);
    const last = await store.range({ prefix: "b", after: "b2" });
    assert.deepEqual([last.entries.map(({ key }) => key), last.more], [["b3"], false]);
    assert.deepEqual(await keysByPages(store, { prefix: "b" }, 10), ["b0", "b1", "b2", "b3"]);
  });

  openedCase(open, "pages at one revision are one snapshot", async ({ store }) => {
    const revision = await put(store, { k1: "old", k2: "old", k3: "old", k4: "old" });
    const snapshot = scan(store, "k");
    const before = await store.range({ prefix: "k", limit: 1 });
    assert.equal(before.revision, revision);
    await put(store, { k2: "new", k5: "new" });
    await remove(store, "k3");
    await put(store, { k3: "again", k4: "new" });
    const rest = await store.range({ prefix: "k", after: "k1", revision });
    assert.deepEqual(
      [rest.entries.map((entry) => `${entry.key}=${text(entry)}`), rest.revision],
      [["k2=old", "k3=old", "k4=old"], revision],
    );
    const down = await store.range({ prefix: "k", revision: revision + 2, descending: true });
    assert.deepEqual(
      down.entries.map((entry) => `${entry.key}=${text(entry)}`),
      ["k5=new", "k4=old", "k2=new", "k1=old"],
    );
    const now: string[] = [];
    for await (const entry of snapshot) now.push(`${entry.key}=${text(entry)}`);
    assert.deepEqual(now, ["k1=old", "k2=new", "k3=again", "k4=new", "k5=new"]);
  });

  openedCase(open, "compacted and future revisions cannot be read", async ({ store }) => {
    await put(store, { a: "0" });
    await put(store, { a: "1" });
    const second = await put(store, { a: "2" });
    const third = await put(store, { a: "3" });
    await store.compact(second);
    await store.compact(second);
    assert.equal(text((await store.range({ prefix: "a", revision: second })).entries[0]), "2");
    const gone = store.range({ prefix: "a", revision: second - 2 });
    await assert.rejects(gone, (error: Error) => {
      assert(error instanceof RevisionCompactedError);
      assert(isFirstAfter(error, second));
      return true;
    });
    await assert.rejects(store.range({ prefix: "a", revision: third + 1 }), RangeError);
    await assert.rejects(store.compact(third + 1), RangeError);
    await store.compact(third);
    assert.equal(text(await store.get("a")), "3");
    assert.equal(await put(store, { a: "4" }), third + 1);
    assert.deepEqual((await store.get("a"))?.value, bytes("4"));
  });
}

async function keysByPages(store: Store, options: RangeOptions, limit: number): Promise<string[]> {
  const keys: string[] = [];
  let after = options.after;
  while (true) {
    const page = await store.range({ ...options, limit, ...(after !== undefined && { after }) });
    keys.push(...page.entries.map(({ key }) => key));
    if (!page.more) return keys;
    after = keys.at(-1);
  }
}
