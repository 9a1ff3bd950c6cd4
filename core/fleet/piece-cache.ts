// Which packs a machine still keeps for other machines once it needs them no more: all, while they are within its
// budget; then the longest unused go. With them it leaves their swarms. Pure arithmetic on bytes and times.
import type { Instant } from "../machine.ts";

/** Encoded bytes kept for others where nothing else is said: a release of 512 MiB, or the newest part of many small ones. */
export const PIECE_CACHE_BYTES = 512 * 1024 * 1024;
/** A pack whose order has ended waits for its assignment: the replication gate has 10 min at most. */
export const ORDER_HOLD_MS = 900_000;
/** Between two looks at the budget. */
export const CACHE_LOOK_MS = 5_000;

/** A pack that nothing on the machine uses. */
export interface IdlePack {
  /** Encoded bytes that are there. */
  readonly bytes: number;
  readonly lastUsedAt: Instant;
  /** It is kept until then, whatever the budget. */
  readonly holdUntil: Instant;
}

/**
 * The packs to drop, the first one first, until the others are within `bytesMax` or must stay. `isBusy` is asked of
 * those alone whose turn has come: others fetch from it.
 */
export function packsToDrop<Pack extends IdlePack>(
  idle: readonly Pack[],
  now: Instant,
  bytesMax: number,
  isBusy: (pack: Pack) => boolean,
): Pack[] {
  let bytes = idle.reduce((sum, pack) => sum + pack.bytes, 0);
  if (bytes <= bytesMax) return [];
  const dropped: Pack[] = [];
  for (const pack of idle.toSorted((one, other) => one.lastUsedAt - other.lastUsedAt)) {
    if (bytes <= bytesMax) break;
    if (now < pack.holdUntil || isBusy(pack)) continue;
    bytes -= pack.bytes;
    dropped.push(pack);
  }
  return dropped;
}
