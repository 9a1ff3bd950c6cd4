// The limits every store driver enforces before it does anything, so that what works on one works on
// all of them. Each check throws StoreLimitError with what, how much, and the limit.
import type { Operation, RangeOptions, Transaction } from "./store.ts";
import { StoreLimitError } from "./store-errors.ts";

/** Compares and operations a transaction: etcd's default --max-txn-ops is 128. */
export const TRANSACTION_OPERATIONS_MAX = 128;
/** Keys and values of a transaction: etcd takes requests of 1.5 MiB, so framing has room. */
export const TRANSACTION_BYTES_MAX = 1 << 20;
/** Entries of a page: 1,000 rows of about 1 KiB are the 1 MiB below. */
export const RANGE_ENTRIES_MAX = 1000;
/** Keys and values of a page: a fourth of gRPC's default receive limit of 4 MiB. */
export const RANGE_BYTES_MAX = 1 << 20;
/** UTF-8 bytes of a key: service, repository and digest names with room to spare. */
export const STORE_KEY_BYTES_MAX = 1024;
/** The longest lease, a day: a holder gone for longer has to be noticed in some other way. */
export const LEASE_TTL_MS_MAX = 24 * 3600 * 1000;

/** Throws unless the key has 1 to STORE_KEY_BYTES_MAX bytes of well-formed text without NUL. */
export function checkKey(key: string): void {
  const bytes = Buffer.byteLength(key);
  if (bytes < 1 || bytes > STORE_KEY_BYTES_MAX) {
    const shown = JSON.stringify(key.slice(0, 80));
    throw new StoreLimitError(
      `store key ${shown} has ${bytes} bytes, allowed are 1 to ${STORE_KEY_BYTES_MAX}`,
    );
  }
  checkText(key, "key");
}

/** Throws unless the transaction is within count and bytes and changes each key at most once. */
export function checkTransaction({ compares, operations }: Transaction): void {
  const count = compares.length + operations.length;
  if (count > TRANSACTION_OPERATIONS_MAX) {
    throw new StoreLimitError(
      `transaction has ${count} compares and operations, the limit is ${TRANSACTION_OPERATIONS_MAX}`,
    );
  }
  const changed = new Set<string>();
  for (const { key } of compares) checkKey(key);
  for (const operation of operations) {
    const key = operationKey(operation);
    checkKey(key);
    if (changed.has(key)) {
      throw new StoreLimitError(
        `transaction changes the key ${JSON.stringify(key)} twice, the limit is once`,
      );
    }
    changed.add(key);
  }
  const bytes = transactionBytes({ compares, operations });
  if (bytes > TRANSACTION_BYTES_MAX) {
    throw new StoreLimitError(
      `transaction has ${bytes} bytes of keys and values, the limit is ${TRANSACTION_BYTES_MAX}`,
    );
  }
}

/** What counts against TRANSACTION_BYTES_MAX: all keys and values, in UTF-8 and plain bytes. */
export function transactionBytes({ compares, operations }: Transaction): number {
  let bytes = 0;
  for (const compare of compares) {
    bytes += Buffer.byteLength(compare.key) + ("value" in compare ? compare.value.length : 0);
  }
  for (const operation of operations) {
    bytes += Buffer.byteLength(operationKey(operation));
    if ("put" in operation) bytes += operation.value.length;
  }
  return bytes;
}

/** Throws unless prefix and after are text a key could be and the limit is 1 to RANGE_ENTRIES_MAX. */
export function checkRange({ prefix, after, limit }: RangeOptions): void {
  checkText(prefix, "prefix");
  if (after !== undefined) checkText(after, "position");
  if (
    limit !== undefined &&
    !(Number.isInteger(limit) && limit >= 1 && limit <= RANGE_ENTRIES_MAX)
  ) {
    throw new StoreLimitError(`range limit is ${limit}, allowed are 1 to ${RANGE_ENTRIES_MAX}`);
  }
}

/** Throws unless the lease's time is a whole number of ms from 1 to LEASE_TTL_MS_MAX. */
export function checkLeaseTtl(ttlMs: number): void {
  if (!(Number.isInteger(ttlMs) && ttlMs >= 1 && ttlMs <= LEASE_TTL_MS_MAX)) {
    throw new StoreLimitError(`lease time is ${ttlMs} ms, allowed are 1 to ${LEASE_TTL_MS_MAX}`);
  }
}

/** The key an operation changes. */
export function operationKey(operation: Operation): string {
  return "put" in operation ? operation.put : operation.delete;
}

function checkText(text: string, what: string): void {
  if (!text.isWellFormed() || text.includes("\0")) {
    const shown = JSON.stringify(text.slice(0, 80));
    throw new StoreLimitError(`store ${what} ${shown} is not well-formed text without NUL`);
  }
}
