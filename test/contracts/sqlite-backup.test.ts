// A backup of the SQLite store while it is written to: of one moment, whole, and a store like any other.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openSqliteStore, type SqliteStore } from "../../runtime/store/sqlite-store.ts";
import { StoreUnavailableError } from "../../runtime/store/store-errors.ts";
import { bytes, text } from "./opened-store.ts";

/** Of 64 KiB: enough that a backup takes many steps. */
const LARGE = 200;

const root = mkdtempSync(join(tmpdir(), "millrace-backup-"));
after(() => rmSync(root, { recursive: true }));

async function filled(name: string): Promise<SqliteStore> {
  const store = openSqliteStore(join(root, name));
  for (let nth = 0; nth < LARGE; nth += 1) {
    const value = Buffer.alloc(64 << 10, nth);
    await store.transact({ compares: [], operations: [{ put: `large/${nth}`, value }] });
  }
  return store;
}

test("a backup is of one moment, however much is written meanwhile", async () => {
  const store = await filled("busy.db");
  const path = join(root, "copy.db");
  let isDone = false;
  let written = 0;
  const writing = (async () => {
    for (; !isDone; written += 1) {
      const value = bytes(`${written}`);
      const operations = ["a", "z"].map((key) => ({ put: key, value }));
      await store.transact({ compares: [], operations });
    }
  })();
  await store.backup(path).finally(() => {
    isDone = true;
  });
  await writing;
  assert.ok(written > 0, "there were writes meanwhile");

  const copy = openSqliteStore(path);
  const [a, z] = await Promise.all([copy.get("a"), copy.get("z")]);
  assert.deepEqual([text(a), a?.modRevision], [text(z), z?.modRevision]);
  const { entries, revision } = await copy.range({ prefix: "large/", limit: 1_000 });
  assert.ok(entries.length > 0 && revision > LARGE);
  let count = 0;
  for (let nth = 0; nth < LARGE; nth += 1) count += (await copy.get(`large/${nth}`)) ? 1 : 0;
  assert.equal(count, LARGE);
  await copy.transact({ compares: [], operations: [{ put: "a", value: bytes("of its own") }] });
  await copy.close();
  assert.equal(text(await store.get("a")), `${written - 1}`);
  await store.close();
});

test("one that cannot be put in its place says why, and leaves nothing behind", async () => {
  const store = openSqliteStore(join(root, "small.db"));
  const path = join(root, "folder");
  mkdirSync(path);
  for (const wrong of [path, join(root, "missing", "copy.db")]) {
    await assert.rejects(store.backup(wrong), (error: Error) => {
      assert.ok(error instanceof StoreUnavailableError);
      assert.match(error.message, /^no backup at .*(folder|copy\.db): /);
      return true;
    });
    assert.ok(!existsSync(`${wrong}.new`));
  }
  await store.close();
});
