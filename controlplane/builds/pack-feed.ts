// Tells the fleet which pack a build to be shipped is making, so that relays and agents fetch while it
// grows. Facts only, each may be told again; who listens decides what follows.
import type { PackOrder } from "../../core/builds/ship-orders.ts";

/** Hears of packs as they grow; a call never throws and never waits. */
export interface PackFeed {
  /** It became known what an attempt leased with ship is for, or that changed, or this leader began. */
  orderBegun(order: PackOrder): void;
  /** So many segments of the pack lie at the origin, whole; never goes down. */
  packGrew(pack: string, segments: number): void;
  /** The attempt has ended; `kept`: its pack belongs to a release now. */
  orderEnded(pack: string, kept: boolean): void;
}
