// How the end of a build starts the rollout that was asked for with it: in the build's own transaction,
// so that it does not matter who is still there. Rollouts implement it; builds only call it, at any replica:
// the leader's engine takes up what is committed.
import type { ShipRequest } from "../../proto/gen/millrace/v1/builds.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { Compare, Operation } from "../../runtime/store/store.ts";

/** What is to be rolled out, and on whose behalf. */
export interface ShipInput {
  readonly buildId: string;
  readonly release: Release;
  readonly ship: ShipRequest;
  /** W3C trace context of the request. */
  readonly traceparent: string;
}

/** A rollout as part of a transaction; at most 32 compares and operations together. */
export interface PreparedRollout {
  readonly rolloutId: string;
  readonly compares: readonly Compare[];
  readonly operations: readonly Operation[];
}

/** Starts rollouts for builds. */
export interface ShipChain {
  /**
   * Prepares the rollout (waiting or replicating). Called anew with fresh compares where the transaction
   * did not commit. An RpcError means that it cannot be rolled out: the build succeeds and says why.
   */
  prepare(input: ShipInput): Promise<PreparedRollout>;
}
