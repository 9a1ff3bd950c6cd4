// Which services a store that was put back knows less of than relays do, by the orders that these remember. Of a service
// whose orders are not older in the store than anywhere nothing is taken for lost: it may have been archived.
// Orders of a later incarnation are from after a restore that the store knows nothing of: it was put back once more, and
// revisions do not tell which of two histories is newer. Only orders of the store's own revision are then the same.
import { incarnationOf, type TermPoint } from "./epoch.ts";

/** What a relay was told, or a machine follows, under one rollout; revision 0: not known. */
export interface RememberedOrder extends TermPoint {
  readonly service: string;
  readonly rollout: string;
}

/**
 * A service in the store of a leader of this epoch: the revision of its orders, 0 where there are none, and the rollouts
 * that these name.
 */
export interface StoredOrders extends TermPoint {
  readonly rollouts: ReadonlySet<string>;
}

/** Those that say something of the history of a leader of this epoch; earlier ones are no news. */
export function ofThisHistory<One extends RememberedOrder>(
  remembered: readonly One[],
  epoch: number,
): readonly One[] {
  const own = incarnationOf(epoch);
  return remembered.filter((one) => incarnationOf(one.epoch) >= own);
}

/** Of what is remembered of one service, what the store may lack: look it up, each rollout once. */
export function suspects<One extends RememberedOrder>(
  remembered: readonly One[],
  stored: StoredOrders,
): readonly One[] {
  // What only machines tell has no revision: then the rollout alone can say so.
  const unknown = remembered.filter(
    (one) => !stored.rollouts.has(one.rollout) && (one.revision === 0 || isLater(one, stored)),
  );
  return [...new Map(unknown.map((one) => [one.rollout, one])).values()];
}

/** Whether somebody knows the service better than the store, which lacks so many of the suspects. */
export function isKnownBetter(
  remembered: readonly RememberedOrder[],
  stored: StoredOrders,
  lacks: number,
): boolean {
  return lacks > 0 || remembered.some((one) => one.revision > 0 && isLater(one, stored));
}

function isLater(one: TermPoint, stored: TermPoint): boolean {
  const isSameHistory = incarnationOf(one.epoch) <= incarnationOf(stored.epoch);
  return isSameHistory ? one.revision > stored.revision : one.revision !== stored.revision;
}
