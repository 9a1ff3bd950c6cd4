// The transaction by which a candidate takes the leader's place: only where nobody has it, and with an epoch above
// all before. Who leads lies on a lease, the epoch stays, so that it never goes back.
import { type EpochParts, epochOf, incarnationOf } from "./epoch.ts";

/** Who leads; absent: nobody. */
export const LEADER_KEY = "leader";
export const EPOCH_KEY = "epoch";
/** What relays have seen that this store has lost; absent: nothing, as far as is known. */
export const BEHIND_KEY = "store-behind";

/** Rows as they were read; undefined: there is none. */
export interface ElectionReads {
  readonly epoch: { readonly value: EpochParts; readonly modRevision: number } | undefined;
  readonly behind: { readonly modRevision: number } | undefined;
}

/** What it compares and how it raises the epoch; the leader's row, on its lease, is put with it. */
export interface ElectionChange {
  readonly epoch: number;
  readonly raised: EpochParts;
  readonly compares: readonly (
    | { readonly key: string; readonly is: "absent" }
    | { readonly key: string; readonly modRevision: number }
  )[];
}

/** The election that follows what was read. */
export function electionChange({ epoch: before, behind }: ElectionReads): ElectionChange {
  const { incarnation, counter } = before?.value ?? { incarnation: 0, counter: 0 };
  const raised = { incarnation, counter: counter + 1 };
  return {
    epoch: epochOf(raised),
    raised,
    compares: [
      { key: LEADER_KEY, is: "absent" },
      { key: EPOCH_KEY, modRevision: before?.modRevision ?? 0 },
      { key: BEHIND_KEY, modRevision: behind?.modRevision ?? 0 },
    ],
  };
}

/** The epoch's row once an operator goes on from a store that was put back: above all that was seen. */
export function raisedIncarnation(
  { incarnation, counter }: EpochParts,
  seenEpoch: number,
): EpochParts {
  return { incarnation: Math.max(incarnation, incarnationOf(seenEpoch)) + 1, counter };
}

/** What each write of a leader compares: that the epoch is still the one of its election, at this revision. */
export function epochCompare({ revision }: { readonly revision: number }): {
  readonly key: string;
  readonly modRevision: number;
} {
  return { key: EPOCH_KEY, modRevision: revision };
}
