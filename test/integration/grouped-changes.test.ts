// Changes of many builds that are written together, on the real stores: few transactions, each row as its plan
// has it, and a row that somebody else changes meanwhile is not lost on the way.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { BuildTable } from "../../controlplane/builds/build-table.ts";
import { GroupedChanges } from "../../controlplane/builds/grouped-changes.ts";
import { BUILD_LIMITS, groupMsOf } from "../../core/builds/build-limits.ts";
import type { BuildRow } from "../../core/builds/build-row.ts";
import { NO_PROGRESS } from "../../core/builds/build-row.ts";
import { heartbeat } from "../../core/builds/build-transitions.ts";
import type { Store, Transaction } from "../../runtime/store/store.ts";
import { startEtcd } from "../lab/etcd.ts";
import { leaseOne, type Queue, scratch, startQueue, submit } from "./queue-system.ts";

const BUILDS = 100;
/** Two operations and compares a row, of 128 in a transaction of which one may be the epoch's. */
const TRANSACTIONS = Math.ceil((2 * BUILDS) / 127);

const etcd = await startEtcd();
after(() => etcd.dispose());

for (const kind of ["SQLite", "etcd"] as const) {
  test(`heartbeats of ${BUILDS} builds are ${TRANSACTIONS} transactions on ${kind}`, async () => {
    const folder = scratch();
    const queue = await startQueue(
      folder.root,
      {},
      kind === "etcd" ? `etcd://${etcd.hosts}` : undefined,
    );
    try {
      const leases = await leased(queue);
      const counted = counting(queue.store);
      const table = new BuildTable(counted.store);
      const groupMs = groupMsOf(BUILD_LIMITS);
      const grouped = new GroupedChanges({ store: counted.store, table, groupMs });
      const beat = (id: string) =>
        grouped.change(id, (row) => heartbeat(row, 1, { service: "", progress: NO_PROGRESS }));
      const first = await Promise.all(leases.map(beat));
      assert.ok(first.every(({ ok }) => ok));
      assert.equal(counted.transactions.length, TRANSACTIONS);
      assert.deepEqual(
        await heartbeatsOf(table, leases),
        leases.map(() => 1),
      );

      // Of one row two changes at once: both happen.
      const [twice = ""] = leases;
      await Promise.all([beat(twice), beat(twice)]);
      assert.deepEqual(await heartbeatsOf(table, [twice]), [3]);

      // Somebody is faster with one of them: its change is made from what it is then, the others' as planned.
      const [mine = "", ...others] = leases.slice(0, 10);
      counted.before = async () => {
        counted.before = undefined;
        await new BuildTable(queue.store).change(mine, (row) => ({
          ok: true,
          row: { ...row, overallSpentMs: 4_321 } as BuildRow,
        }));
      };
      await Promise.all([mine, ...others].map(beat));
      assert.deepEqual(
        await heartbeatsOf(table, others),
        others.map(() => 2),
      );
      assert.equal((await table.get(mine))?.overallSpentMs, 4_321);
      assert.deepEqual(await heartbeatsOf(table, [mine]), [4]);

      const refused = await grouped.change(mine, (row) =>
        heartbeat(row, 2, { service: "", progress: NO_PROGRESS }),
      );
      assert.deepEqual(refused, { ok: false, refusal: "not-current" });
      const unknown = await beat("b-0000000000000000");
      assert.deepEqual(unknown, { ok: false, refusal: "unknown-build" });
    } finally {
      await queue.stop();
      folder.remove();
    }
  });
}

async function leased(queue: Queue): Promise<string[]> {
  const ids: string[] = [];
  await Promise.all(
    Array.from({ length: BUILDS }, async () => {
      await submit(queue);
      ids.push((await leaseOne(queue)).build);
    }),
  );
  return ids;
}

async function heartbeatsOf(table: BuildTable, ids: readonly string[]): Promise<number[]> {
  const rows = await Promise.all(ids.map((id) => table.get(id)));
  return rows.map((row) => (row?.state === "leased" ? row.heartbeats : -1));
}

/** The store with its transactions noted; `before` runs ahead of the next. */
function counting(store: Store) {
  const noted = {
    transactions: [] as Transaction[],
    before: undefined as (() => Promise<void>) | undefined,
    store,
  };
  noted.store = new Proxy(store, {
    get: (target, name) => {
      if (name !== "transact") {
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      }
      return async (transaction: Transaction) => {
        await noted.before?.();
        noted.transactions.push(transaction);
        return target.transact(transaction);
      };
    },
  });
  return noted;
}
