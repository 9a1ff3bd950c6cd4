// How a call to etcd failed, read from the text that etcd3 leaves of a gRPC status. What counts is whether
// the request can have happened: only what is known to name a request that did not is taken for that.

/** What etcd's own refusals say, as far as callers act on them differently. */
export type Refusal = "lease-not-found" | "compacted" | "future" | "answer-too-large" | "other";

/**
 * `refused`: nothing happened, and trying again would end the same. `not-done`: nothing happened, another
 * try may succeed. `unknown`: it may have happened, or happen yet.
 */
export type CallFailure =
  | { readonly kind: "refused"; readonly why: Refusal }
  | { readonly kind: "not-done" }
  | { readonly kind: "unknown" };

/** A call that failed; its message is etcd's or the connection's. */
export class EtcdCallError extends Error {
  override readonly name = "EtcdCallError";
  readonly failure: CallFailure;

  constructor(message: string, failure: CallFailure, options?: ErrorOptions) {
    super(message, options);
    this.failure = failure;
  }

  /** Whether etcd refused the call for this reason. */
  isRefusal(why: Refusal): boolean {
    return this.failure.kind === "refused" && this.failure.why === why;
  }
}

const REFUSALS: readonly (readonly [RegExp, Refusal])[] = [
  [/requested lease not found/, "lease-not-found"],
  [/required revision has been compacted/, "compacted"],
  [/required revision is a future revision/, "future"],
  [/Received message larger than max/, "answer-too-large"],
  [/database space exceeded|request is too large/, "other"],
];

/** Told before the request left, or by etcd before it proposed it. */
const NOT_DONE =
  /No connection established|Channel closed before call started|Name resolution failed|etcdserver: (?:no leader|too many requests|revision of auth store is old)/;

/** INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED, UNAUTHENTICATED. */
const REFUSING_CODES = [3, 5, 6, 7, 9, 11, 12, 16];

/** Reads a failure; what is not one of a call is a bug and is thrown on. */
export function toCallError(error: unknown): EtcdCallError {
  if (error instanceof EtcdCallError) return error;
  const message = error instanceof Error ? error.message : String(error);
  // etcd3 puts words of its own before the status of some.
  const code = /(?:^|\s)(\d{1,2}) [A-Z_]+: /.exec(message)?.[1];
  if (code === undefined) throw error;
  return new EtcdCallError(message, failureOf(message, Number(code)), { cause: error });
}

function failureOf(message: string, code: number): CallFailure {
  const refusal = REFUSALS.find(([pattern]) => pattern.test(message));
  if (refusal !== undefined) return { kind: "refused", why: refusal[1] };
  if (NOT_DONE.test(message)) return { kind: "not-done" };
  if (REFUSING_CODES.includes(code)) return { kind: "refused", why: "other" };
  return { kind: "unknown" };
}
