// Transactions on etcd, each happening once or not at all: it is tried again only when it is certain that no
// earlier try happened or ever will, and an answer that was lost is settled by its slot (etcd-slots.ts).
import { EtcdCallError, toCallError } from "./etcd-failures.ts";
import type { EtcdKeys } from "./etcd-keys.ts";
import { isLeaseAlive, isLeaseId } from "./etcd-leases.ts";
import type { EtcdMembers } from "./etcd-members.ts";
import {
  fenceRequest,
  fenceResult,
  type PreparedTransaction,
  prepareTransaction,
  readRequest,
  readResult,
  type Settlement,
  writeRequest,
  writeResult,
} from "./etcd-requests.ts";
import { EtcdSlots, type Slot } from "./etcd-slots.ts";
import type { LeaseId, Transaction, TransactionResult } from "./store.ts";
import {
  LeaseNotFoundError,
  StoreUnavailableError,
  StoreUnknownOutcomeError,
} from "./store-errors.ts";

/** The transactions of one open store. */
export class EtcdWriter {
  readonly #members: EtcdMembers;
  readonly #keys: EtcdKeys;
  readonly #slots: EtcdSlots;

  constructor(members: EtcdMembers, keys: EtcdKeys) {
    this.#members = members;
    this.#keys = keys;
    this.#slots = new EtcdSlots(members, keys);
  }

  /** See Store.transact; the transaction is within the limits. */
  async transact(transaction: Transaction): Promise<TransactionResult> {
    const prepared = prepareTransaction(this.#keys, transaction);
    if (prepared.writes.length === 0) {
      const request = readRequest(prepared);
      const answer = await this.#members.ask(({ kv }, options) => kv.txn(request, options));
      return readResult(this.#keys, answer);
    }
    const leases = leasesOf(transaction);
    for (const lease of leases) if (!isLeaseId(lease)) throw new LeaseNotFoundError(lease);
    const retries = this.#members.retries();
    while (true) {
      const end = await this.#slots.with((slot) => this.#try(prepared, leases, slot));
      if ("committed" in end) return end;
      await retries.next(end);
    }
  }

  /** One try, settled: its result, or the error after which another may be made. */
  async #try(
    prepared: PreparedTransaction,
    leases: readonly LeaseId[],
    slot: Slot,
  ): Promise<TransactionResult | EtcdCallError> {
    const request = writeRequest(prepared, slot);
    try {
      const answer = await this.#members.once(({ kv }, options) => kv.txn(request, options));
      const result = writeResult(this.#keys, prepared, slot, answer);
      if (result !== undefined) return result;
      await this.#slots.lost(slot.lease);
      return new EtcdCallError("the session has ended", { kind: "not-done" });
    } catch (cause) {
      const error = toCallError(cause);
      if (error.isRefusal("lease-not-found")) {
        if (await isLeaseAlive(this.#members, slot.lease)) throw await this.#lostLease(leases);
        await this.#slots.lost(slot.lease);
        return error;
      }
      if (error.failure.kind === "refused") {
        throw new StoreUnavailableError(`etcd refused the write: ${error.message}`, { cause });
      }
      if (error.failure.kind === "not-done") return error;
      return this.#settle(prepared, slot, error);
    }
  }

  async #settle(
    prepared: PreparedTransaction,
    slot: Slot,
    error: EtcdCallError,
  ): Promise<TransactionResult | EtcdCallError> {
    let settlement: Settlement;
    try {
      const fence = fenceRequest(slot);
      const answer = await this.#members.ask(({ kv }, options) => kv.txn(fence, options));
      settlement = fenceResult(prepared, slot, answer);
    } catch (cause) {
      throw new StoreUnknownOutcomeError(
        `the answer to a write was lost (${error.message}), and it could not be found out: ${String(cause)}`,
        { cause },
      );
    }
    if (settlement.kind === "done") return { committed: true, revision: settlement.revision };
    if (settlement.kind === "not-done") return error;
    throw new StoreUnknownOutcomeError(`the answer to a write was lost: ${error.message}`, {
      cause: error,
    });
  }

  /** Which of a transaction's leases etcd did not find: it does not say. */
  async #lostLease(leases: readonly LeaseId[]): Promise<LeaseNotFoundError> {
    for (const lease of leases) {
      if (!(await isLeaseAlive(this.#members, lease))) return new LeaseNotFoundError(lease);
    }
    return new LeaseNotFoundError(leases.join(" or "));
  }
}

function leasesOf({ operations }: Transaction): readonly LeaseId[] {
  const leases = operations.flatMap((each) =>
    "put" in each && each.lease !== undefined ? [each.lease] : [],
  );
  return [...new Set(leases)];
}
