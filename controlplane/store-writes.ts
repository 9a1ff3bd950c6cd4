// A store whose writes are counted: each is a flush to the disks of all its members, so an operator watches them.
import type { Store, Transaction } from "../runtime/store/store.ts";
import { counter } from "../runtime/telemetry.ts";

/** The same store; each transaction that it commits is counted. */
export function countedStore(store: Store): Store {
  const writes = counter("millrace.store.writes", "Transactions of this replica", "{write}");
  const condition = store.condition?.bind(store);
  const backup = store.backup?.bind(store);
  return {
    isExclusive: store.isExclusive,
    get: (key) => store.get(key),
    range: (options) => store.range(options),
    transact: async (transaction: Transaction) => {
      const result = await store.transact(transaction);
      if (result.committed) writes.add(1);
      return result;
    },
    grantLease: (ttlMs) => store.grantLease(ttlMs),
    keepAlive: (lease) => store.keepAlive(lease),
    revokeLease: (lease) => store.revokeLease(lease),
    watch: (options, onEvents, onCompacted) => store.watch(options, onEvents, onCompacted),
    compact: (revision) => store.compact(revision),
    ...(condition !== undefined && { condition }),
    ...(backup !== undefined && { backup }),
    close: () => store.close(),
  };
}
