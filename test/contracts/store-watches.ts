// Contract of the store: watches and leases.
import { strict as assert } from "node:assert";
import { LeaseNotFoundError } from "../../runtime/store/store-errors.ts";
import { openedCase } from "./opened-case.ts";
import {
  bytes,
  isFirstAfter,
  type OpenStore,
  put,
  remove,
  text,
  WatchLog,
} from "./opened-store.ts";

/** Above the floor of 2 s that etcd has. */
const TTL_MS = 4000;

/** Registers the cases. */
export function watchCases(open: OpenStore): void {
  openedCase(open, "a watch sees its prefix from now on, transactions whole", async ({ store }) => {
    const before = await put(store, { "a/1": "old" });
    const log = new WatchLog();
    await log.watch(store, { prefix: "a/" });
    await put(store, { "a/1": "1", b: "x", "a/2": "2" });
    await put(store, { b: "y" });
    await remove(store, "a/2", "b");
    await log.until(({ events }) => events.length === 3);
    assert.deepEqual(log.lines, [
      `${before + 1} put a/1=1`,
      `${before + 1} put a/2=2`,
      `${before + 3} delete a/2`,
    ]);
    const [changed, created, deleted] = log.events.map(({ entry }) => entry);
    assert.deepEqual([changed?.version, changed?.createRevision], [2, before]);
    assert.deepEqual([created?.version, created?.createRevision], [1, before + 1]);
    assert.deepEqual([deleted?.version, deleted?.createRevision, deleted?.value.length], [0, 0, 0]);
  });

  openedCase(open, "a watch resumes at a revision without loss or repeat", async (opened) => {
    const first = await put(opened.store, { a: "1" });
    await put(opened.store, { a: "2", b: "1" });
    await remove(opened.store, "a");
    const expected = [
      `${first} put a=1`,
      `${first + 1} put a=2`,
      `${first + 1} put b=1`,
      `${first + 2} delete a`,
      `${first + 3} put b=2`,
    ];
    const logs = [0, 1, 2, 3].map(() => new WatchLog());
    for (const [index, log] of logs.entries()) {
      await log.watch(opened.store, { prefix: "", fromRevision: first + index });
    }
    await put(opened.store, { b: "2" });
    for (const [index, log] of logs.entries()) {
      const wanted = expected.filter((line) => Number.parseInt(line, 10) >= first + index);
      await log.until(({ events }) => events.length === wanted.length);
      assert.deepEqual(log.lines, wanted);
    }
    const store = await opened.reopen();
    const later = new WatchLog();
    await later.watch(store, { prefix: "", fromRevision: first });
    await later.until(({ events }) => events.length === expected.length);
    assert.deepEqual(later.lines, expected, "history outlives a restart");
  });

  openedCase(open, "a watch may start in the future", async ({ store }) => {
    const now = await put(store, { a: "0" });
    const log = new WatchLog();
    await log.watch(store, { prefix: "", fromRevision: now + 2 });
    await put(store, { a: "1" });
    await put(store, { a: "2" });
    await log.until(({ events }) => events.length > 0);
    assert.deepEqual(log.lines, [`${now + 2} put a=2`]);
    const bad = store.watch({ prefix: "", fromRevision: 0 }, () => assert.fail());
    await assert.rejects(bad, RangeError);
  });

  openedCase(open, "a closed watch is silent", async ({ store }) => {
    const [closed, other] = [new WatchLog(), new WatchLog()];
    const close = await closed.watch(store, { prefix: "" });
    await other.watch(store, { prefix: "" });
    await put(store, { a: "1" });
    await closed.until(({ events }) => events.length === 1);
    close();
    await put(store, { a: "2" });
    await other.until(({ events }) => events.length === 2);
    assert.equal(closed.events.length, 1);
  });

  openedCase(open, "a watch on compacted history is told, once", async ({ store }) => {
    const first = await put(store, { a: "1" });
    await remove(store, "a");
    const third = await put(store, { a: "2" });
    await store.compact(third);
    const log = new WatchLog();
    await log.watch(store, { prefix: "", fromRevision: first });
    await log.until(({ compacted }) => compacted !== undefined);
    assert(log.compacted && isFirstAfter(log.compacted, third));
    const kept = new WatchLog();
    await kept.watch(store, { prefix: "", fromRevision: third });
    await put(store, { a: "3" });
    await kept.until(({ events }) => events.length === 2);
    assert.deepEqual(kept.lines, [`${third} put a=2`, `${third + 1} put a=3`]);
    assert.deepEqual(log.lines, [], "it is over");
  });

  openedCase(open, "a long history is replayed whole and joins what follows", async ({ store }) => {
    const first = await put(store, { n1: "0", n2: "0", n3: "0" });
    const log = new WatchLog();
    const count = 1500;
    const writes = [Promise.resolve(first)];
    for (let n = 1; n < count; n += 1) {
      // Three events each, so that no round number of events is a whole number of transactions.
      writes.push(put(store, { n1: `${n}`, n2: `${n}`, n3: `${n}` }));
      if (n === count - 300) {
        await Promise.all(writes);
        await log.watch(store, { prefix: "n", fromRevision: first });
      }
    }
    const revisions = await Promise.all(writes);
    await log.until(({ events }) => events.length === 3 * count);
    // Writes that are under way together may be committed in any order.
    const expected = [...revisions.entries()]
      .sort(([, a], [, b]) => a - b)
      .map(([n, revision]) => ["n1", "n2", "n3"].map((key) => `${revision} put ${key}=${n}`));
    assert.deepEqual(log.lines, expected.flat());
  });

  openedCase(open, "large transactions are replayed whole", async ({ store }) => {
    const keys = Array.from({ length: 60 }, (_, n) => `n${100 + n}`);
    const value = new Uint8Array(16 << 10);
    const operations = keys.map((key) => ({ put: key, value }));
    const log = new WatchLog();
    const results = [];
    for (let n = 0; n < 6; n += 1) {
      results.push(await store.transact({ compares: [], operations }));
    }
    await log.watch(store, { prefix: "n", fromRevision: results[0]?.revision as number });
    await log.until(({ events }) => events.length === keys.length * results.length);
    assert.deepEqual(
      log.events.map(({ entry }) => `${entry.modRevision} ${entry.key}`),
      results.flatMap(({ revision }) => keys.map((key) => `${revision} ${key}`)),
    );
  });
}

/** Registers the cases. */
export function leaseCases(open: OpenStore): void {
  openedCase(open, "an expired lease takes its keys along in one revision", async (opened) => {
    const { store } = opened;
    const lease = await store.grantLease(TTL_MS);
    const log = new WatchLog();
    await log.watch(store, { prefix: "l/" });
    const operations = ["l/1", "l/2", "l/3"].map((key) => ({ put: key, value: bytes("v"), lease }));
    await store.transact({ compares: [], operations });
    assert.equal((await store.get("l/1"))?.lease, lease);
    const revision = await put(store, { "l/3": "taken off", "l/4": "never on" });
    await opened.passTime(TTL_MS / 2);
    assert.equal(await store.keepAlive(lease), true);
    await opened.passTime(TTL_MS / 2 + 500);
    assert.equal(await store.keepAlive(lease), true, "it was kept alive in between");
    await opened.passTime(TTL_MS * 2);
    await log.until(({ events }) => events.length === 7);
    assert.deepEqual(log.lines.slice(5), [
      `${revision + 1} delete l/1`,
      `${revision + 1} delete l/2`,
    ]);
    assert.equal(await store.keepAlive(lease), false);
    assert.equal(await store.get("l/1"), undefined);
    assert.equal(text(await store.get("l/3")), "taken off");
  });

  openedCase(open, "a lost lease cannot be put on, and nothing is written", async ({ store }) => {
    const lease = await store.grantLease(TTL_MS);
    await store.transact({ compares: [], operations: [{ put: "x", value: bytes("1"), lease }] });
    await store.revokeLease(lease);
    assert.equal(await store.get("x"), undefined);
    assert.equal(await store.keepAlive(lease), false);
    await store.revokeLease(lease);
    const operations = [
      { put: "y", value: bytes("1") },
      { put: "x", value: bytes("1"), lease },
    ];
    const results = await Promise.allSettled([
      put(store, { before: "1" }),
      store.transact({ compares: [], operations }),
      put(store, { after: "1" }),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    const [, refused] = results;
    assert(refused?.status === "rejected" && refused.reason instanceof LeaseNotFoundError);
    assert.equal(await store.get("y"), undefined);
    const racing = await store.grantLease(TTL_MS);
    const late = { put: "z", value: bytes("1"), lease: racing };
    await Promise.allSettled([
      store.revokeLease(racing),
      store.transact({ compares: [], operations: [late] }),
    ]);
    assert.equal(await store.get("z"), undefined, "no key outlives its lease");
  });

  openedCase(open, "a lease survives a restart with its full time", async (opened) => {
    const lease = await opened.store.grantLease(TTL_MS);
    const operations = [{ put: "x", value: bytes("1"), lease }];
    await opened.store.transact({ compares: [], operations });
    await opened.passTime(TTL_MS - 500);
    const store = await opened.restart();
    await opened.passTime(TTL_MS - 1000);
    assert.equal(await store.keepAlive(lease), true);
    assert.equal((await store.get("x"))?.lease, lease);
    const log = new WatchLog();
    await log.watch(store, { prefix: "x" });
    await opened.passTime(TTL_MS * 2);
    await log.until(({ events }) => events.length === 1);
    assert.equal(await store.get("x"), undefined);
  });
}
