// Many small changes in few transactions, each within the store's limits.
import { TRANSACTION_BYTES_MAX, TRANSACTION_OPERATIONS_MAX } from "./store-limits.ts";

/** What one transaction may still take; of a part, what it needs. */
export interface Room {
  /** Compares and operations. */
  readonly operations: number;
  /** Of keys and values. */
  readonly bytes: number;
}

/** Room beside one more compare, as the epoch's. */
export const FENCED_ROOM: Room = {
  operations: TRANSACTION_OPERATIONS_MAX - 1,
  bytes: TRANSACTION_BYTES_MAX - 4 * 1024,
};

/** Parts in transactions, in their order; a part that has no room alone is left alone, for the store to refuse. */
export function transactionsOf<Part extends Room>(
  parts: readonly Part[],
  room: Room = FENCED_ROOM,
): Part[][] {
  const groups: Part[][] = [];
  let left: Room = { operations: 0, bytes: 0 };
  for (const part of parts) {
    if (part.operations > left.operations || part.bytes > left.bytes) {
      groups.push([]);
      left = room;
    }
    groups.at(-1)?.push(part);
    left = { operations: left.operations - part.operations, bytes: left.bytes - part.bytes };
  }
  return groups;
}
