// Tells the fleet which pack a build to be shipped is making, so that relays and agents fetch while it
// grows. Facts only, each may be told again; who listens decides what follows.
import type { Labels } from "../../core/rollout/targets.ts";

/** An attempt whose pack is wanted before it is whole. */
export interface PackOrder {
  readonly build: string;
  readonly attempt: number;
  /** `<build>.<attempt>`; names the order too. */
  readonly pack: string;
  /** Empty until the recipe has been read. */
  readonly service: string;
  /** Labels the rollout is for; empty: all machines, or not known yet. */
  readonly targets: Labels;
  readonly excludedRegions: readonly string[];
  /** W3C trace context of the request. */
  readonly traceparent: string;
  /** It goes before other packs. */
  readonly urgent: boolean;
}

/** Hears of packs as they grow; a call never throws and never waits. */
export interface PackFeed {
  /** An attempt was leased with ship, or its service or targets became known, or this leader began. */
  orderBegun(order: PackOrder): void;
  /** So many segments of the pack lie at the origin, whole; never goes down. */
  packGrew(pack: string, segments: number): void;
  /** The attempt has ended; `kept`: its pack belongs to a release now. */
  orderEnded(pack: string, kept: boolean): void;
}
