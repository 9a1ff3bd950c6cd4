// Errors of an RPC as callers see them: a status that fits and a sentence that says what to do. A store that is away
// passes, and so it is UNAVAILABLE. Anything else that a handler throws is logged here and leaves as INTERNAL without
// its text.
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { Log } from "../log.ts";
import { StoreUnavailableError, StoreUnknownOutcomeError } from "../store/store-errors.ts";

/**
 * Bytes of a sentence as it travels, in a header: percent-encoded. Peers may end the whole connection
 * over headers of more than 8 KiB, as the HTTP/2 of Node does over 64.
 */
const DETAILS_BYTES_MAX = 6_000;

/** gRPC's own word for when a failed call is worth another try, milliseconds. */
const RETRY_AFTER = "grpc-retry-pushback-ms";
/** Those who are sent away together come back over so long: a thousand watches are one each millisecond. */
const COME_BACK_MS = 1_000;
/** A server has no business to hold a caller off for longer. */
const RETRY_AFTER_MS_MAX = 30_000;

/** An expected failure of a handler; the message is for the caller. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: status;
  readonly metadata: Metadata | undefined;

  constructor(code: status, message: string, metadata?: Metadata) {
    super(message);
    this.code = code;
    this.metadata = metadata;
  }
}

/** The named thing does not exist. */
export const notFound = (message: string): RpcError => new RpcError(status.NOT_FOUND, message);

/** A field is wrong: name it, its value and the limit. */
export const invalid = (message: string): RpcError =>
  new RpcError(status.INVALID_ARGUMENT, message);

/** The state of things does not allow it. */
export const failedPrecondition = (message: string): RpcError =>
  new RpcError(status.FAILED_PRECONDITION, message);

/** Somebody else was first; read again. */
export const aborted = (message: string): RpcError => new RpcError(status.ABORTED, message);

/** Not now; try again. */
export const unavailable = (message: string): RpcError => new RpcError(status.UNAVAILABLE, message);

/** This server ends: ask again, here or elsewhere, at a time of the caller's own. */
export function ending(message: string): RpcError {
  const metadata = new Metadata();
  metadata.set(RETRY_AFTER, String(comeBackMs()));
  return new RpcError(status.UNAVAILABLE, message, metadata);
}

/** When one of many who are sent away is to come back, milliseconds: with full jitter. */
export function comeBackMs(): number {
  return Math.ceil(Math.random() * COME_BACK_MS);
}

/** When the server said that a failed call is to be made again, milliseconds; 0: it did not say. */
export function retryAfterMs(error: unknown): number {
  const said = (error as Partial<ServiceError>).metadata?.get(RETRY_AFTER)[0]?.toString() ?? "";
  return /^\d{1,9}$/.test(said) ? Math.min(Number(said), RETRY_AFTER_MS_MAX) : 0;
}

/** What a handler threw, as gRPC sends it. */
export function asServiceError(error: unknown, log: Log): Partial<ServiceError> {
  if (error instanceof RpcError) {
    const { code, message, metadata } = error;
    const details = fitting(message);
    return metadata === undefined ? { code, details } : { code, details, metadata };
  }
  if (error instanceof StoreUnavailableError) {
    log.warn({ err: error }, "the store is away");
    return { code: status.UNAVAILABLE, details: "the store does not answer; try again" };
  }
  if (error instanceof StoreUnknownOutcomeError) {
    log.warn({ err: error }, "the store was lost while it wrote");
    const details = "the store was lost while it wrote this; look whether it is done, or ask again";
    return { code: status.UNAVAILABLE, details };
  }
  log.error({ err: error }, "handler failed");
  return { code: status.INTERNAL, details: "internal error; the server's log has it" };
}

/** A sentence without its middle where it is too long: what is named there came from the caller. */
function fitting(message: string): string {
  const text = message.toWellFormed();
  let short = text;
  for (let length = DETAILS_BYTES_MAX; encodeURI(short).length > DETAILS_BYTES_MAX; length >>= 1) {
    short = `${text.slice(0, length)} ... ${text.slice(-length >> 1)}`.toWellFormed();
  }
  return short;
}
