// The leader has the store forget its history, on the real stores: what is old is gone, what is young can still be
// followed.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startCompacting } from "../../controlplane/history/compactor.ts";
import { createLog } from "../../runtime/log.ts";
import { RevisionCompactedError } from "../../runtime/store/store-errors.ts";
import { startEtcd } from "../lab/etcd.ts";
import { until } from "../lab/until.ts";
import { scratch, startQueue, submit } from "./queue-system.ts";

const KEPT_MS = 500;
const log = createLog("test", {});
log.level = "fatal";

const etcd = await startEtcd();
after(() => etcd.dispose());

for (const kind of ["SQLite", "etcd"] as const) {
  test(`history that is older than it is to be kept is compacted on ${kind}`, async () => {
    const folder = scratch();
    const queue = await startQueue(
      folder.root,
      {},
      kind === "etcd" ? `etcd://${etcd.hosts}` : undefined,
    );
    const { store, fence } = queue;
    const readable = async (revision: number): Promise<boolean> => {
      try {
        await store.range({ prefix: "builds/", limit: 1, revision });
        return true;
      } catch (error) {
        if (error instanceof RevisionCompactedError) return false;
        throw error;
      }
    };
    const stop = startCompacting({ store, fence, keptMs: KEPT_MS, log });
    try {
      await submit(queue);
      const { revision } = await store.range({ prefix: "", limit: 1 });
      // Two, because etcd is compacted to one revision less than is asked.
      await submit(queue);
      await submit(queue);
      assert.ok(await readable(revision), "what has just happened is there");
      await until("the first revision to be forgotten", async () => !(await readable(revision)));
      const newest = (await store.range({ prefix: "", limit: 1 })).revision;
      assert.ok(await readable(newest), "the newest is always there");
    } finally {
      stop();
      await queue.stop();
      folder.remove();
    }
  });
}
