// How far one pack has come from the origin into the region's store, as mirror.ts keeps it.
import type { Instant } from "../machine.ts";

/** One segment: since when it is known, and when it may be tried again after so many failures. */
export interface SegmentState {
  readonly state: "absent" | "pulling" | "stored";
  readonly since: Instant;
  readonly retryAt: Instant;
  readonly tries: number;
}

/** A pack being mirrored. Only mirror.ts changes it. */
export interface MirroredPack {
  readonly id: string;
  readonly segments: SegmentState[];
  /** Segments in the store. */
  stored: number;
  /** The origin has the seal; the number of segments is final. */
  sealed: boolean;
  sealStored: boolean;
  sealing: boolean;
  sealTries: number;
  sealRetryAt: Instant;
  /** The store has been looked at since the pack was told, so that nothing is pulled twice. */
  looked: boolean;
  looking: boolean;
  /** Looks that failed since one went well. */
  lookTries: number;
  lookAt: Instant;
  /** Segments that are asked of siblings' peers. */
  readonly fetching: Set<number>;
  /** What failed last, and is still to do. */
  readonly errors: Map<number | "seal" | "look", string>;
}

/** A pack of which nothing is known yet. */
export function mirroredPack(id: string, now: Instant): MirroredPack {
  return {
    id,
    segments: [],
    stored: 0,
    sealed: false,
    sealStored: false,
    sealing: false,
    sealTries: 0,
    sealRetryAt: now,
    looked: false,
    looking: false,
    lookTries: 0,
    lookAt: now,
    fetching: new Set(),
    errors: new Map(),
  };
}

/** Sealed, and all of it stored. */
export function isWhole(pack: MirroredPack): boolean {
  return pack.sealed && pack.sealStored && pack.stored === pack.segments.length;
}
