// Transactions as etcd's requests, and its answers as results: plain data in, plain data out. A request has
// one compare more than the caller's, that of its slot, and one write more, its mark, where that changes
// nothing that the caller could see.
import type { ICompare, IRequestOp, ITxnRequest, ITxnResponse } from "etcd3";
import type { EtcdKeys } from "./etcd-keys.ts";
import type { Slot } from "./etcd-slots.ts";
import type { Compare, Operation, Transaction, TransactionResult } from "./store.ts";
import { TRANSACTION_OPERATIONS_MAX } from "./store-limits.ts";

const DONE = Buffer.from("done");
const FENCED = Buffer.from("fenced");

/** What settling a lost answer showed: it happened, it never will, or only the latter of two. */
export type Settlement =
  | { readonly kind: "done"; readonly revision: number }
  | { readonly kind: "not-done" }
  | { readonly kind: "unknown" };

/** A transaction in etcd's form. */
export interface PreparedTransaction {
  /**
   * Whether it writes a mark. One that only deletes must take no revision where there is nothing to delete,
   * and one with as many operations as etcd takes has no room.
   */
  readonly isMarked: boolean;
  readonly compares: readonly ICompare[];
  readonly writes: readonly IRequestOp[];
  readonly reads: readonly IRequestOp[];
}

/** Copies the transaction into requests: the caller may change its buffers after this. */
export function prepareTransaction(
  keys: EtcdKeys,
  { compares, operations }: Transaction,
): PreparedTransaction {
  return {
    isMarked:
      operations.length < TRANSACTION_OPERATIONS_MAX && operations.some((each) => "put" in each),
    compares: compares.map((compare) => toCompare(keys, compare)),
    writes: operations.map((operation) => toWrite(keys, operation)),
    reads: compares.map(({ key }) => ({ request_range: { key: keys.key(key) } })),
  };
}

/** The request without a slot, for a transaction that writes nothing. */
export function readRequest({ compares, reads }: PreparedTransaction): ITxnRequest {
  return { compare: [...compares], failure: [...reads] };
}

/** The request with its slot. */
export function writeRequest(prepared: PreparedTransaction, slot: Slot): ITxnRequest {
  const mark = prepared.isMarked ? [putSlot(slot, DONE)] : [];
  return {
    compare: [isUnwritten(slot), ...prepared.compares],
    success: [...mark, ...prepared.writes],
    failure: [{ request_range: { key: slot.key } }, ...prepared.reads],
  };
}

/** The request that keeps a transaction with this slot from happening, if it has not. */
export function fenceRequest(slot: Slot): ITxnRequest {
  return {
    compare: [isUnwritten(slot)],
    success: [putSlot(slot, FENCED)],
    failure: [{ request_range: { key: slot.key } }],
  };
}

/** The result of `readRequest`. */
export function readResult(keys: EtcdKeys, answer: ITxnResponse): TransactionResult {
  const revision = Number(answer.header.revision);
  if (answer.succeeded) return { committed: true, revision };
  return { committed: false, revision, current: entriesOf(keys, answer) };
}

/** The result of `writeRequest`, noted in the slot; undefined when the slot is gone and nothing happened. */
export function writeResult(
  keys: EtcdKeys,
  { isMarked }: PreparedTransaction,
  slot: Slot,
  answer: ITxnResponse,
): TransactionResult | undefined {
  const revision = Number(answer.header.revision);
  if (answer.succeeded) {
    if (isMarked) slot.revision = revision;
    return { committed: true, revision };
  }
  const [mark, ...reads] = answer.responses;
  if (Number(mark?.response_range.kvs[0]?.mod_revision ?? 0) !== slot.revision) return undefined;
  return { committed: false, revision, current: entriesOf(keys, { responses: reads }) };
}

/** What `fenceRequest` showed of the transaction before it, noted in the slot. */
export function fenceResult(
  { isMarked }: PreparedTransaction,
  slot: Slot,
  answer: ITxnResponse,
): Settlement {
  const mark = answer.responses[0]?.response_range?.kvs[0];
  // A slot that is neither as it was nor written is one whose session has ended.
  if (!answer.succeeded && mark === undefined) return { kind: "unknown" };
  slot.revision = Number(answer.succeeded ? answer.header.revision : mark?.mod_revision);
  if (!answer.succeeded && mark?.value.equals(DONE)) {
    return { kind: "done", revision: slot.revision };
  }
  return isMarked ? { kind: "not-done" } : { kind: "unknown" };
}

function isUnwritten({ key, revision }: Slot): ICompare {
  return { key, target: "Mod", result: "Equal", mod_revision: revision };
}

function putSlot({ key, lease }: Slot, value: Buffer): IRequestOp {
  return { request_put: { key, value, lease } };
}

function toCompare(keys: EtcdKeys, compare: Compare): ICompare {
  const key = keys.key(compare.key);
  if ("is" in compare) {
    const result = compare.is === "absent" ? "Equal" : "NotEqual";
    return { key, target: "Create", result, create_revision: 0 };
  }
  const result = "Equal";
  if ("modRevision" in compare) {
    return { key, target: "Mod", result, mod_revision: compare.modRevision };
  }
  if ("createRevision" in compare) {
    return { key, target: "Create", result, create_revision: compare.createRevision };
  }
  return { key, target: "Value", result, value: Buffer.from(compare.value) };
}

function toWrite(keys: EtcdKeys, operation: Operation): IRequestOp {
  if ("delete" in operation) {
    return { request_delete_range: { key: keys.key(operation.delete) } };
  }
  const { put, value, lease = "0" } = operation;
  return { request_put: { key: keys.key(put), value: Buffer.from(value), lease } };
}

function entriesOf(
  keys: EtcdKeys,
  { responses }: Pick<ITxnResponse, "responses">,
): Extract<TransactionResult, { committed: false }>["current"] {
  return responses.map(({ response_range }) => {
    const [kv] = response_range.kvs;
    return kv && keys.entry(kv);
  });
}
