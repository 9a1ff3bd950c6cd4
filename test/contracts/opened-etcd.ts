// Opens the etcd driver for a test, under a prefix of its own in an etcd that the tests of a file share.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { etcdAddress } from "../../runtime/store/etcd-address.ts";
import { openEtcdStore } from "../../runtime/store/etcd-store.ts";
import { scan } from "../../runtime/store/store.ts";
import type { Etcd } from "../lab/etcd.ts";
import type { OpenedStore } from "./opened-store.ts";

/** Keys removed in one transaction. */
const REMOVED = 100;

/** An empty store in a running etcd. */
export async function openEtcdForTest(etcd: Etcd): Promise<OpenedStore> {
  const url = `etcd://${etcd.hosts}/test-${randomUUID()}`;
  const open = () => openEtcdStore(etcdAddress(url));
  let store = await open();
  const reopen: OpenedStore["reopen"] = async (between) => {
    await store.close();
    await between?.();
    store = await open();
    return store;
  };
  return {
    store,
    url,
    passTime: (ms) => sleep(ms),
    reopen,
    restart: () =>
      reopen(async () => {
        for (const member of etcd.members) {
          await member.stop("SIGTERM");
          await member.start();
        }
      }),
    dispose: async () => {
      const keys: string[] = [];
      for await (const { key } of scan(store, "")) keys.push(key);
      for (let at = 0; at < keys.length; at += REMOVED) {
        const operations = keys.slice(at, at + REMOVED).map((key) => ({ delete: key }));
        await store.transact({ compares: [], operations });
      }
      await store.close();
    },
  };
}
