// The driver of the store for a cluster: the same promises as the embedded one, kept by etcd. It joins the
// parts: members and retries (etcd-members), transactions (etcd-writer), pages, leases and watches. Revisions
// are those of the etcd cluster, so they rise also with what others write to it.
import type { EtcdAddress } from "./etcd-address.ts";
import { etcdCondition } from "./etcd-condition.ts";
import { EtcdCallError } from "./etcd-failures.ts";
import { EtcdKeys } from "./etcd-keys.ts";
import { grantLease, keepLeaseAlive, revokeLease } from "./etcd-leases.ts";
import { EtcdMembers } from "./etcd-members.ts";
import { readPage } from "./etcd-pages.ts";
import { compactedRevision, openEtcdWatch } from "./etcd-watch.ts";
import { EtcdWriter } from "./etcd-writer.ts";
import type {
  Entry,
  LeaseId,
  RangeOptions,
  RangePage,
  Store,
  StoreCondition,
  Transaction,
  TransactionResult,
  Watch,
  WatchEvent,
  WatchOptions,
} from "./store.ts";
import { type RevisionCompactedError, StoreUnavailableError } from "./store-errors.ts";
import { checkKey, checkLeaseTtl, checkRange, checkTransaction } from "./store-limits.ts";

/** Opens the store of a cluster that answers; StoreUnavailableError when none does, or refuses us. */
export async function openEtcdStore(address: EtcdAddress): Promise<Store> {
  const store = new EtcdStore(address);
  try {
    await store.range({ prefix: "", limit: 1 });
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}

class EtcdStore implements Store {
  readonly isExclusive = false;
  readonly #members: EtcdMembers;
  readonly #keys: EtcdKeys;
  readonly #writer: EtcdWriter;
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #watches = new Set<Watch>();
  #closing: Promise<void> | undefined;

  constructor(address: EtcdAddress) {
    this.#members = new EtcdMembers(address);
    this.#keys = new EtcdKeys(address.prefix);
    this.#writer = new EtcdWriter(this.#members, this.#keys);
  }

  async get(key: string): Promise<Entry | undefined> {
    checkKey(key);
    const request = { key: this.#keys.key(key) };
    const { kvs } = await this.#run(() =>
      this.#members.ask(({ kv }, options) => kv.range(request, options)),
    );
    return kvs[0] && this.#keys.entry(kvs[0]);
  }

  async range(options: RangeOptions): Promise<RangePage> {
    checkRange(options);
    if (options.revision !== undefined) checkRevision(options.revision);
    return this.#run(async () => {
      try {
        return await readPage(this.#members, this.#keys, options);
      } catch (error) {
        if (!(error instanceof EtcdCallError) || options.revision === undefined) throw error;
        if (error.isRefusal("future")) {
          throw new RangeError(`revision ${options.revision} is not there yet`, { cause: error });
        }
        if (!error.isRefusal("compacted")) throw error;
        throw await compactedRevision(this.#members, this.#keys, options.revision);
      }
    });
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    return this.#run(() => this.#writer.transact(transaction));
  }

  async grantLease(ttlMs: number): Promise<LeaseId> {
    checkLeaseTtl(ttlMs);
    return this.#run(() => grantLease(this.#members, ttlMs));
  }

  async keepAlive(lease: LeaseId): Promise<boolean> {
    return this.#run(() => keepLeaseAlive(this.#members, lease));
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    return this.#run(() => revokeLease(this.#members, lease));
  }

  async watch(
    options: WatchOptions,
    onEvents: (events: readonly WatchEvent[]) => void,
    onCompacted: (error: RevisionCompactedError) => void = crash,
  ): Promise<Watch> {
    checkRange(options);
    if (options.fromRevision !== undefined) checkRevision(options.fromRevision);
    return this.#run(async () => {
      const callbacks = { onEvents, onCompacted };
      const watch = await openEtcdWatch(this.#members, this.#keys, options, callbacks);
      this.#watches.add(watch);
      if (this.#closing !== undefined) watch.close();
      return {
        close: () => {
          watch.close();
          this.#watches.delete(watch);
        },
      };
    });
  }

  async compact(revision: number): Promise<void> {
    checkRevision(revision);
    await this.#run(async () => {
      const { revision: current } = await readPage(this.#members, this.#keys, {
        prefix: "",
        limit: 1,
      });
      if (revision > current) throw new RangeError(`revision ${revision} is not there yet`);
      // One less than asked: etcd before 3.4.34 and 3.5.16 loses deletions at the very revision it compacts
      // to for watches that start there (etcd-io/etcd#18089).
      if (revision < 3) return;
      try {
        const request = { revision: revision - 1 };
        await this.#members.ask(({ kv }, options) => kv.compact(request, options));
      } catch (error) {
        if (!(error instanceof EtcdCallError && error.isRefusal("compacted"))) throw error;
      }
    });
  }

  condition(): Promise<StoreCondition> {
    return etcdCondition(this.#members);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const watch of this.#watches) watch.close();
    await Promise.allSettled(this.#underWay);
    for (const watch of this.#watches) watch.close();
    this.#members.close();
  }

  /** Runs a call unless the store is closed; what etcd refused beyond the expected makes it unavailable. */
  async #run<Result>(call: () => Promise<Result>): Promise<Result> {
    if (this.#closing !== undefined) throw new StoreUnavailableError("the store is closed");
    const running = call();
    this.#underWay.add(running);
    try {
      return await running;
    } catch (error) {
      if (!(error instanceof EtcdCallError)) throw error;
      throw new StoreUnavailableError(`etcd refused the call: ${error.message}`, { cause: error });
    } finally {
      this.#underWay.delete(running);
    }
  }
}

function checkRevision(revision: number): void {
  if (!(Number.isInteger(revision) && revision >= 1)) {
    throw new RangeError(`revision ${revision} is not one from 1 on`);
  }
}

function crash(error: RevisionCompactedError): void {
  throw error;
}
