// What is the SQLite driver's own: who holds the file, what happens when the disk is full or fails,
// and how its history is bounded.
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openStore } from "../../runtime/store/open-store.ts";
import { openSqliteStore } from "../../runtime/store/sqlite-store.ts";
import { StoreUnavailableError } from "../../runtime/store/store-errors.ts";
import { openSqliteForTest } from "./opened-sqlite.ts";
import { put, remove, text, WatchLog } from "./opened-store.ts";
import { mountSmallDisk } from "./small-disk.ts";

const LIMITED_WRITER = fileURLToPath(new URL("limited-writer.ts", import.meta.url));

test("a held file is refused with its name and its holder", async () => {
  const opened = await openSqliteForTest();
  const refusal = `store ${opened.path} is in use by process ${process.pid}: `;
  assert.throws(
    () => openSqliteStore(opened.path),
    (error: Error) => error instanceof StoreUnavailableError && error.message.startsWith(refusal),
  );
  const module = new URL("../../runtime/store/open-store.ts", import.meta.url).href;
  const script = `const { openStore } = await import(${JSON.stringify(module)});
    await openStore(process.argv[1]).catch((error) => console.log(error.message));`;
  const args = ["--input-type=module", "-e", script, opened.url];
  assert(execFileSync(process.execPath, args, { encoding: "utf8" }).startsWith(refusal));
  await put(opened.store, { a: "1" });
  const reopened = await opened.reopen();
  assert.equal(text(await reopened.get("a")), "1");
  await opened.dispose();
});

test("what is not a store is refused and left as it is", async () => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-store-"));
  const notes = join(folder, "notes.txt");
  await writeFile(notes, "not a database\n".repeat(100));
  assert.throws(() => openSqliteStore(notes), /notes\.txt is not a SQLite database/);
  const foreign = join(folder, "foreign.db");
  const database = new DatabaseSync(foreign);
  database.exec("CREATE TABLE other (x)");
  database.close();
  assert.throws(() => openSqliteStore(foreign), /foreign\.db is a database of another program/);
  const newer = join(folder, "newer.db");
  await openSqliteStore(newer).close();
  const raised = new DatabaseSync(newer);
  raised.exec("PRAGMA user_version = 99");
  raised.close();
  assert.throws(() => openSqliteStore(newer), /newer\.db has format 99, this program knows 1/);
  assert.throws(() => openSqliteStore(folder), StoreUnavailableError);
  for (const url of ["sqlite:", "postgres://127.0.0.1:5432/millrace", notes]) {
    await assert.rejects(openStore(url), /is not known: give sqlite:PATH/);
  }
  await rm(folder, { recursive: true });
});

test("fault 12: a full disk refuses writes, keeps what was acknowledged, and can be freed", async () => {
  const disk = mountSmallDisk(4096);
  try {
    const path = join(disk.path, "store.db");
    const filler = join(disk.path, "filler");
    await writeFile(filler, new Uint8Array(3 << 20));
    let store = openSqliteStore(path);
    const log = new WatchLog();
    await log.watch(store, { prefix: "" });
    const value = "v".repeat(4000);
    let count = 0;
    let refusal: unknown;
    let revision = 0;
    for (; refusal === undefined; count += 1) {
      const writes = [0, 1].map((n) =>
        put(store, { [`k/${count}/${n}`]: value, same: `${count}` }),
      );
      const [first, second] = await Promise.allSettled(writes);
      assert.equal(first?.status, second?.status, "a group stands or falls together");
      if (first?.status === "rejected") refusal = first.reason;
      if (second?.status === "fulfilled") revision = second.value;
    }
    assert(refusal instanceof StoreUnavailableError);
    assert.match(refusal.message, /full/);
    assert.equal(text(await store.get("same")), `${count - 2}`, "reads go on");
    assert.equal((await store.range({ prefix: "" })).revision, revision, "state is unchanged");
    await rm(filler);
    assert.equal(await put(store, { same: "freed" }), revision + 1);
    await log.until(({ events }) => text(events.at(-1)?.entry) === "freed");
    assert.equal(log.events.length, (count - 1) * 4 + 1, "no event of what was refused");
    await store.close();
    store = openSqliteStore(path);
    assert.equal(text(await store.get("same")), "freed");
    for (let n = 0; n < count; n += 1) {
      assert.equal((await store.get(`k/${n}/1`)) !== undefined, n < count - 1);
    }
    await store.close();
  } finally {
    disk.remove();
  }
});

test("a commit that fails has an unknown outcome, and the store is over", async () => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-store-"));
  const url = `sqlite:${join(folder, "store.db")}`;
  // Files of the writer may grow to 256 KiB: then write() fails with EFBIG, in the middle of a commit.
  const script = `ulimit -f 256; exec "$0" "$@"`;
  const args = ["-c", script, process.execPath, LIMITED_WRITER, url];
  const told = JSON.parse(execFileSync("bash", args, { encoding: "utf8" }));
  assert.deepEqual(told.errors, [
    "StoreUnknownOutcomeError",
    "StoreUnavailableError",
    "StoreUnavailableError",
  ]);
  assert(told.acknowledged > 0);
  const store = await openStore(url);
  for (let n = 0; n < told.acknowledged; n += 1) assert(await store.get(`k/${n}`), `${n}`);
  await store.close();
  await rm(folder, { recursive: true });
});

test("history is bounded, and a watch that it overtakes is told", async () => {
  const opened = await openSqliteForTest({ historyVersionsMax: 50 });
  const { store } = opened;
  const first = await put(store, { a: "first", untouched: "1" });
  for (let n = 0; n < 300; n += 1) {
    await put(store, { a: `${n}` });
    if (n % 10 === 0) await remove(store, "a");
  }
  const { revision } = await store.range({ prefix: "" });
  const [early, recent] = [new WatchLog(), new WatchLog()];
  await early.watch(store, { prefix: "", fromRevision: first });
  await recent.watch(store, { prefix: "", fromRevision: revision - 40 });
  await early.until(({ compacted }) => compacted !== undefined);
  await recent.until(({ events }) => events.length === 41);
  assert.equal(text(await store.get("untouched")), "1", "what is current is never dropped");
  await opened.dispose();
  assert.equal(recent.compacted, undefined);
});

test("history is bounded also when one revision is most of it", async () => {
  const opened = await openSqliteForTest({ historyVersionsMax: 50 });
  const { store } = opened;
  const lease = await store.grantLease(5000);
  for (let n = 0; n < 10; n += 1) {
    const operations = Array.from({ length: 100 }, (_, i) => ({
      put: `k/${n}/${i}`,
      value: new Uint8Array(1),
      lease,
    }));
    await store.transact({ compares: [], operations });
  }
  const log = new WatchLog();
  await log.watch(store, { prefix: "k/" });
  await store.revokeLease(lease);
  await log.until(({ events }) => events.length === 1000);
  const revision = await put(store, { after: "1" });
  const again = new WatchLog();
  await again.watch(store, { prefix: "", fromRevision: revision });
  await again.until(({ events }) => events.length === 1);
  const gone = new WatchLog();
  await gone.watch(store, { prefix: "", fromRevision: revision - 1 });
  await gone.until(({ compacted }) => compacted !== undefined);
  await opened.dispose();
});
