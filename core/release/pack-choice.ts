// Which packs of earlier releases a new one goes on using. A pack that is mostly dead weight, or one
// too many, is left: the few chunks needed from it are packed again. Pure arithmetic on bytes.
import { PACKS_MAX } from "./limits.ts";

/** A pack is kept while at least this share of its plain bytes is used. */
const USED_SHARE_MIN = 0.5;

/** How much of an earlier pack a release uses, in plain bytes. */
export interface PackUse {
  readonly usedBytes: number;
  readonly totalBytes: number;
}

/** Indexes of the packs to keep, most used first, at most 7: the eighth is the build's own. */
export function packsToKeep(uses: readonly PackUse[]): number[] {
  return uses
    .map((use, index) => ({ ...use, index }))
    .filter((use) => use.usedBytes > 0 && use.usedBytes >= use.totalBytes * USED_SHARE_MIN)
    .sort((a, b) => b.usedBytes - a.usedBytes || a.index - b.index)
    .slice(0, PACKS_MAX - 1)
    .map((use) => use.index);
}
