// The queue on a real etcd that forgets what happened while the control plane was cut off from it.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { BuildTable } from "../../controlplane/builds/build-table.ts";
import { droppedKey } from "../../controlplane/garbage/pack-mark-row.ts";
import { cancel } from "../../core/builds/build-transitions.ts";
import { BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import { startEtcd } from "../lab/etcd.ts";
import { FaultyWire } from "../lab/faulty-wire.ts";
import { until } from "../lab/until.ts";
import { scratch, startQueue, submit } from "./queue-system.ts";

const folder = scratch();
const etcd = await startEtcd();
const wire = await FaultyWire.listen(etcd.hosts);
const queue = await startQueue(folder.root, {}, `etcd://${wire.address}`);
const direct = await openStore(`etcd://${etcd.hosts}`);
after(async () => {
  await Promise.all([queue.stop(), direct.close()]);
  await wire.close();
  await etcd.dispose();
  folder.remove();
});

test("fault 5: what ended, or was marked, in history that is gone is told all the same", async () => {
  const { build, requester } = await submit(queue);
  const watched = (async () => {
    const states: BuildState[] = [];
    for await (const { build: now } of queue.builds.watchBuild({ id: build!.id })) {
      states.push(now!.state);
    }
    return states;
  })();
  const pack = "b-0123456789abcdef.1";
  await queue.origin.put(`packs/${pack}/s-0`, Buffer.from("left over"));
  wire.become("cut");
  wire.breakConnections();
  const table = new BuildTable(direct);
  const change = await table.change(build!.id, (row) => cancel(row, requester, Date.now()));
  assert.ok(change.ok);
  const mark = { put: droppedKey(pack), value: new Uint8Array() };
  await direct.transact({ compares: [], operations: [mark] });
  const later = { put: "later", value: new Uint8Array() };
  const { revision } = await direct.transact({ compares: [], operations: [later] });
  await direct.compact(revision);
  wire.become("open");
  assert.equal((await watched).at(-1), BuildState.BUILD_STATE_CANCELLED);
  await until("the marked pack to be deleted", async () => {
    const { blobs } = await queue.origin.list(`packs/${pack}/`);
    return blobs.length === 0;
  });
});
