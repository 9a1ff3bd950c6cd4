// A store that a newer version has written to: an older program refuses to start on it, and one that runs ends.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { openStore } from "../../runtime/store/open-store.ts";
import type { Store } from "../../runtime/store/store.ts";
import { startEtcd } from "../lab/etcd.ts";
import { runMillrace } from "../lab/system.ts";
import { startControlPlane } from "./controlplane-process.ts";
import { scratch } from "./queue-system.ts";

const folder = scratch();
const etcd = await startEtcd();
after(async () => {
  await etcd.dispose();
  folder.remove();
});

const row = (version: number, readableFrom: number) =>
  new TextEncoder().encode(JSON.stringify({ version, readableFrom }));
const write = (store: Store, value: Uint8Array) =>
  store.transact({ compares: [], operations: [{ put: "schema", value }] });

test("fault 32: an old program runs beside a newer one that it can read, and ends where it can no more", async () => {
  const url = `etcd://${etcd.hosts}`;
  const replica = await startControlPlane(folder.root, { store: url });
  const store = await openStore(url);
  const written = new TextDecoder().decode((await store.get("schema"))?.value);
  assert.deepEqual(JSON.parse(written), { version: 1, readableFrom: 1 });
  await write(store, row(2, 1));
  const beside = await startControlPlane(folder.root, { store: url });
  assert.deepEqual((await store.get("schema"))?.value, row(2, 1), "it is not put back");
  await write(store, row(3, 2));
  for (const { exited } of [replica, beside]) assert.deepEqual(await exited, [75, null]);
  const flags = ["--listen", "127.0.0.1:0", "--origin", `file:${join(folder.root, "origin")}`];
  const again = await runMillrace(["controlplane", "--store", url, ...flags]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /schema 2 and later.*this one has schema 1.*run the newer version/);
  await store.close();
});
