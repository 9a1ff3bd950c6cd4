// Contract of the blob store: reading, listing and the rules for keys.
import { strict as assert } from "node:assert";
import {
  BLOB_KEY_BYTES_MAX,
  BLOB_LIST_MAX,
  BLOB_SEGMENT_BYTES_MAX,
  BlobKeyError,
  BlobNotFoundError,
  type BlobStore,
} from "../../runtime/blobs/blob-store.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { content, keysOf, type OpenBlobs, parts, pattern } from "./opened-blobs.ts";
import { openedCase } from "./opened-case.ts";

/** A few buffers and a bit more. */
const SIZE = 1_000_003;

const LONG_KEY = `${`${"d".repeat(99)}/`.repeat(5)}${"f".repeat(12)}`;
const GOOD_KEYS = [
  "a",
  "0",
  "-",
  "_",
  "...",
  ".a",
  "a.",
  "a..b",
  "..a",
  "A/b/C.d",
  "a/.../b",
  "-/_/.x",
  "x".repeat(BLOB_SEGMENT_BYTES_MAX),
  LONG_KEY,
];
const BAD_KEYS = [
  "",
  "/",
  "a/",
  "/a",
  "a//b",
  ".",
  "..",
  "../a",
  "a/..",
  "a/../b",
  "./a",
  "a/./b",
  "a/.",
  "a b",
  " a",
  "a ",
  "a\0b",
  "a\n",
  "a\nb",
  "a\\b",
  "a:b",
  "a=",
  "a~",
  "a%2fb",
  "a*",
  "a?",
  "a#b",
  "é",
  "ａ",
  "a\u202eb",
  "\ud800",
  "~",
  "$HOME",
  "C:\\a",
  "//host/a",
  "a/ /b",
  "x".repeat(BLOB_SEGMENT_BYTES_MAX + 1),
  `a/${"x".repeat(BLOB_SEGMENT_BYTES_MAX + 1)}/b`,
  `${LONG_KEY}f`,
  "é".repeat(BLOB_KEY_BYTES_MAX / 2),
];
const BAD_PREFIXES = ["/", "a//", "../", "a/../", "./", "a b", "é", "a\0", "a*", "=", "a/b\n"];

/** Registers the cases. */
export function blobReadCases(open: OpenBlobs): void {
  openedCase(open, "a blob is read back whole, however it was put", async ({ store }) => {
    for (const length of [0, 1, 4096, SIZE]) {
      const bytes = pattern(length, length + 1);
      assert.equal(await store.put(`whole/${length}`, bytes), "stored");
      assert.equal(await store.put(`parts/${length}`, parts(bytes, 77_777)), "stored");
      for (const key of [`whole/${length}`, `parts/${length}`]) {
        assert.deepEqual(await store.head(key), { key, bytes: length });
        assert(Buffer.from(bytes).equals(await content(store, key)), key);
      }
    }
  });

  openedCase(open, "ranges and positions are cut at the blob's end", async ({ store }) => {
    const bytes = pattern(SIZE);
    await store.put("blob", bytes);
    for (const offset of [0, 1, 262_143, 262_144, SIZE - 1, SIZE, SIZE + 1, 2 ** 40]) {
      for (const length of [0, 1, 2, 262_144, 262_145, SIZE, SIZE + 1, 2 ** 21]) {
        const expected = Buffer.from(bytes.subarray(offset, offset + length));
        const got = await content(store, "blob", { offset, bytes: length });
        assert(expected.equals(got), `get ${offset}+${length}: ${got.length} bytes`);
        const target = new Uint8Array(length).fill(7);
        assert.equal(await store.read("blob", offset, target), expected.length);
        assert(expected.equals(target.subarray(0, expected.length)), `read ${offset}+${length}`);
        assert(
          target.subarray(expected.length).every((byte) => byte === 7),
          "the rest untouched",
        );
      }
    }
    for (const wrong of [-1, 0.5, Number.NaN, 2 ** 60]) {
      await assert.rejects(content(store, "blob", { offset: wrong, bytes: 1 }), RangeError);
      await assert.rejects(content(store, "blob", { offset: 0, bytes: wrong }), RangeError);
      await assert.rejects(store.read("blob", wrong, new Uint8Array(1)), RangeError);
    }
  });

  openedCase(open, "the yielded buffers belong to the caller", async ({ store }) => {
    const bytes = pattern(SIZE);
    await store.put("blob", bytes);
    const kept: Uint8Array[] = [];
    for await (const buffer of store.get("blob")) {
      kept.push(buffer.slice());
      buffer.fill(0);
    }
    assert(Buffer.concat(kept).equals(bytes));
    assert((await content(store, "blob")).equals(bytes));
  });

  openedCase(open, "what is absent is told", async ({ store }) => {
    await store.put("a/b", pattern(1));
    for (const key of ["a", "a/b/c", "b", "a/c"]) {
      assert.equal(await store.head(key), undefined);
      assert.equal(await store.delete(key), false);
      const told = { name: "BlobNotFoundError", message: `blob ${key} does not exist` };
      await assert.rejects(content(store, key), told);
      await assert.rejects(store.read(key, 0, new Uint8Array(1)), told);
    }
    assert.deepEqual(await keysOf(store, ""), ["a/b"]);
  });

  openedCase(open, "deletion ends a blob, not who is reading it", async ({ store }) => {
    const bytes = pattern(SIZE);
    await store.put("d/blob", bytes);
    const reader = store.get("d/blob")[Symbol.asyncIterator]();
    const first = await reader.next();
    assert.equal(await store.delete("d/blob"), true);
    assert.equal(await store.delete("d/blob"), false);
    await assert.rejects(store.read("d/blob", 0, new Uint8Array(1)), BlobNotFoundError);
    const rest: Uint8Array[] = [first.value];
    for (let next = await reader.next(); !next.done; next = await reader.next()) {
      rest.push(next.value);
    }
    assert(Buffer.concat(rest).equals(bytes));
    assert.equal(await store.put("d/blob", pattern(3)), "stored");
    assert.equal((await content(store, "d/blob")).length, 3);
  });

  openedCase(open, "lists come in byte order, by prefix, by pages", async ({ store }) => {
    const keys = ["a", "a-b", "a.b", "a/b", "a/b/c", "a/b0", "a0", "aB", "a_", "ab", "b/x", "c"];
    for (const key of [...keys].reverse()) await store.put(key, pattern(key.length));
    await checkLists(store, keys);
    const { blobs } = await store.list("a/b");
    assert.deepEqual(blobs, [
      { key: "a/b", bytes: 3 },
      { key: "a/b/c", bytes: 5 },
      { key: "a/b0", bytes: 4 },
    ]);
    const exact = await store.list("", { limit: keys.length });
    assert.deepEqual([exact.blobs.length, exact.more], [keys.length, false]);
    for (const limit of [0, -1, 1.5, BLOB_LIST_MAX + 1]) {
      await assert.rejects(store.list("", { limit }), RangeError);
    }
  });

  openedCase(open, "a place is the same however it was written", async (opened) => {
    const { store, url } = opened;
    const again = await openBlobStore(url.replace(/(?=\?|$)/, "/"));
    assert.equal(again.place, store.place);
    await again.close();
    const other = await open();
    assert.notEqual(other.store.place, store.place);
    await other.dispose();
  });

  openedCase(
    open,
    "threat 19: keys are held to their rules, before anything is done",
    async ({ store }) => {
      for (const key of GOOD_KEYS) assert.equal(await store.put(key, pattern(1)), "stored", key);
      assert.deepEqual(await keysOf(store, ""), [...GOOD_KEYS].sort());
      for (const key of BAD_KEYS) {
        for (const call of [
          () => store.put(key, pattern(1)),
          () => content(store, key),
          () => store.read(key, 0, new Uint8Array(1)),
          () => store.head(key),
          () => store.delete(key),
        ]) {
          await assert.rejects(call, BlobKeyError, JSON.stringify(key));
        }
      }
      for (const prefix of BAD_PREFIXES) {
        await assert.rejects(store.list(prefix), BlobKeyError, JSON.stringify(prefix));
      }
      assert.equal((await keysOf(store, "")).length, GOOD_KEYS.length);
    },
  );
}

async function checkLists(store: BlobStore, keys: readonly string[]): Promise<void> {
  for (const prefix of ["", "a", "a/", "a/b", "a/b/", "a.", "b", "b/", "x", "x/y", "."]) {
    const under = keys.filter((key) => key.startsWith(prefix));
    for (const after of [undefined, "", "a", "a-", "a/", "a/b", "a/b/", "a/zz", "b/x", "zz"]) {
      const expected = under.filter((key) => key > (after ?? ""));
      for (const limit of [1, 3, BLOB_LIST_MAX]) {
        const options = { limit, ...(after !== undefined && { after }) };
        const label = `${prefix}* after ${after} by ${limit}`;
        assert.deepEqual(await keysOf(store, prefix, options), expected, label);
      }
    }
  }
}
