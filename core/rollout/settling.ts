// Whether machines are on their way from one relay to another in such numbers that sums over relays count many of them
// twice: what a relay just lost it still counts for a while, and another one may have it by now, before the first knows.
import type { Instant } from "../machine.ts";
import { shareFloor } from "./bounds.ts";

/** So many machines in a hundred may be on their way; fewer come and go all the time. */
const AWAY_PERCENT = 1;
/** All have found another relay by then; a fleet that never settles is taken as it is. */
export const SETTLE_MS_MAX = 30_000;

/** Whether a sum may be relied on; `since`: when it was asked for first. */
export function isSettled(
  { away, total }: { readonly away: number; readonly total: number },
  at: Instant,
  since: Instant,
): boolean {
  return away <= shareFloor(AWAY_PERCENT, total) || at >= since + SETTLE_MS_MAX;
}
