// What a list may be asked for, and how long a page of it may be: by count as asked, and by bytes because
// it is one message.
import { MESSAGE_BYTES_MAX } from "../../runtime/grpc/limits.ts";
import { invalid } from "../../runtime/grpc/rpc-error.ts";
import { SERVICE_NAME } from "../../runtime/recipe/recipe-schema.ts";

const LIST_DEFAULT = 50;
const LIST_MAX = 500;
/** Room for the token and for the frame of each item. */
const PAGE_BYTES_MAX = MESSAGE_BYTES_MAX - 16 * 1024;
/** Tag and length of one item. */
const ITEM_FRAME_BYTES = 6;

/** Page size from a request: 0 is the default; INVALID_ARGUMENT over the limit. */
export function listLimit(limit: number): number {
  if (limit > LIST_MAX) throw invalid(`limit: ${limit}, at most ${LIST_MAX}`);
  return limit === 0 ? LIST_DEFAULT : limit;
}

/** Service that a list is of, empty: all; INVALID_ARGUMENT where it is no name of one. */
export function listService(service: string): string {
  if (service === "" || SERVICE_NAME.test(service)) return service;
  throw invalid(`service "${service}": expected 1-63 lower-case letters, digits and dashes`);
}

/** How many of the items, by their encoded bytes, fit into one message; at least one. */
export function fittingCount(itemBytes: readonly number[]): number {
  let bytes = 0;
  for (const [index, one] of itemBytes.entries()) {
    bytes += one + ITEM_FRAME_BYTES;
    if (bytes > PAGE_BYTES_MAX) return Math.max(1, index);
  }
  return itemBytes.length;
}
