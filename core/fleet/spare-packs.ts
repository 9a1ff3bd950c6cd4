// Which packs a region's store lets go of that its machines do not need now: the longest unneeded first, until needed and
// spare ones together are within the budget. What is needed is not its business: it stays, also where that alone is too
// much. Pure arithmetic on bytes.

import { evict } from "./eviction.ts";

/** A whole pack in the region's store that nobody needs now. */
export interface SparePack {
  readonly pack: string;
  readonly bytes: number;
  /** Unix milliseconds: needed last. */
  readonly sinceMs: number;
}

export interface SparePlan {
  readonly evicted: readonly SparePack[];
  /** By so much the needed packs alone are over the budget. */
  readonly overBytes: number;
}

/** What to let go of. */
export function planSpares(
  spares: readonly SparePack[],
  neededBytes: number,
  budgetBytes: number,
): SparePlan {
  const all = neededBytes + spares.reduce((sum, spare) => sum + spare.bytes, 0);
  const { evicted } = evict(spares.toSorted(longestUnneededFirst), all, budgetBytes);
  return { evicted, overBytes: Math.max(0, neededBytes - budgetBytes) };
}

/** The same order at every relay of a region, as far as they agree on times. */
function longestUnneededFirst(a: SparePack, b: SparePack): number {
  return a.sinceMs - b.sinceMs || (a.pack < b.pack ? -1 : 1);
}
