// Runs the store's contract on the etcd driver, against a real etcd.
import { after, before, describe } from "node:test";
import { type Etcd, startEtcd } from "../lab/etcd.ts";
import { openEtcdForTest } from "./opened-etcd.ts";
import { storeContract } from "./store-contract.ts";

describe("etcd", () => {
  let etcd: Etcd;
  before(async () => {
    etcd = await startEtcd();
  });
  after(() => etcd.dispose());
  storeContract("etcd", () => openEtcdForTest(etcd));
});
