// The leader's fencing number. Every write of the leader compares it, so a replica that has lost its place can
// decide nothing any more; `holds` says so before the store does, by the process's own clock.
import type { Compare, Entry } from "../runtime/store/store.ts";

/** One term of a leader. */
export interface Fence {
  /** Fencing number, never goes back. */
  readonly epoch: number;
  /** Store revision of the election. */
  readonly revision: number;
  /** Add this to every transaction of the leader. */
  readonly compare: Compare;
  /** False as soon as others may lead: then nothing may be decided or sent. */
  holds(): boolean;
}

/** Another leader's epoch is in the store: this one may decide nothing any more. */
export class FenceLostError extends Error {
  override readonly name = "FenceLostError";

  constructor() {
    super("another control plane has taken over");
  }
}

/** Whether the entry of the fence's key, as it was found, is of another term. */
export function isFenced({ compare }: Fence, found: Entry | undefined): boolean {
  return "modRevision" in compare && found?.modRevision !== compare.modRevision;
}
