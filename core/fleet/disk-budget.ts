// What a machine lets go of to stay within its disk budget, least needed first: releases that nothing runs any more, the
// oldest first, then pieces kept for other machines. What runs, what it would go back to, and what is coming stays, also
// where that alone is too much: then it is said by how much. Pure arithmetic on bytes.

import { evict } from "./eviction.ts";

/** A release on disk, or coming there. */
export interface HeldRelease {
  readonly service: string;
  readonly release: string;
  readonly bytes: number;
  /** It runs, is gone back to, is staged, or is on its way. */
  readonly isNeeded: boolean;
  /** How many of its service ran after it. */
  readonly age: number;
}

/** What takes room on a machine. */
export interface DiskHeld {
  readonly releases: readonly HeldRelease[];
  /** Pieces of packs that are being fetched or put together. */
  readonly fetchingBytes: number;
}

export interface DiskPlan {
  /** Releases to let go of. */
  readonly evicted: readonly HeldRelease[];
  /** So many bytes of pieces may be kept for other machines. */
  readonly cacheBytesMax: number;
  /** By so much the needed things alone are over the budget. */
  readonly overBytes: number;
}

/** What to let go of; `cachedBytes` of pieces are kept for others now. */
export function planDisk(held: DiskHeld, cachedBytes: number, budgetBytes: number): DiskPlan {
  const old = held.releases.filter(({ isNeeded }) => !isNeeded).sort(leastNeededFirst);
  const all = held.fetchingBytes + held.releases.reduce((sum, one) => sum + one.bytes, 0);
  const { evicted, leftBytes } = evict(old, all + cachedBytes, budgetBytes);
  const bytes = leftBytes - cachedBytes;
  return {
    evicted,
    cacheBytesMax: Math.max(0, budgetBytes - bytes),
    overBytes: Math.max(0, bytes - budgetBytes),
  };
}

function leastNeededFirst(a: HeldRelease, b: HeldRelease): number {
  return b.age - a.age || b.bytes - a.bytes || (a.release < b.release ? -1 : 1);
}
