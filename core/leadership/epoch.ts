// Epochs, and what they tell of the store that they come from. An epoch is a counter that each election raises,
// behind an incarnation that an operator raises after the store was put back to an older state. Within an
// incarnation revisions of the store rise from term to term too, so that whoever remembers a higher one than
// that of a later election has seen a state which that store has lost.

/** An incarnation is worth so many epochs: one election a second for 136 years. */
const EPOCHS_PER_INCARNATION = 2 ** 32;

/** Incarnation and counter as the store keeps them. */
export interface EpochParts {
  readonly incarnation: number;
  readonly counter: number;
}

/** A term, or the highest that somebody has seen, and a revision of the store in it; 0: not known. */
export interface TermPoint {
  readonly epoch: number;
  readonly revision: number;
}

/** The fencing number. */
export function epochOf({ incarnation, counter }: EpochParts): number {
  return incarnation * EPOCHS_PER_INCARNATION + counter;
}

export function incarnationOf(epoch: number): number {
  return Math.floor(epoch / EPOCHS_PER_INCARNATION);
}

/**
 * Revision under which a relay takes a service away that a leader of this epoch no longer names, so that machines which
 * follow what is `kept` obey that and whatever the leader says of the service later. Under a later epoch revisions may
 * begin anew: those of a store that was put back, or is another one.
 */
export function withdrawalRevision(kept: TermPoint, epoch: number): number {
  return epoch > kept.epoch ? 0 : kept.revision + 1;
}

/**
 * Whether a relay has seen what the store of this term has lost. `seen.revision` is of the incarnation of
 * `seen.epoch`, `elected.revision` that of the election; `isMet`: the relay has heard this very term's leader.
 */
export function isBehind(elected: TermPoint, seen: TermPoint, isMet: boolean): boolean {
  if (seen.epoch > elected.epoch) return true;
  // Who knows the epoch and not its leader has it from a term that this store has lost.
  if (seen.epoch === elected.epoch) return !isMet;
  const isSameHistory = incarnationOf(seen.epoch) === incarnationOf(elected.epoch);
  // What an earlier term wrote is before the election: at its very revision something else was written that is lost.
  return isSameHistory && seen.revision >= elected.revision;
}

/** Whether assignments are of an older term than others, or of an older revision of the same. */
export function isOlder(one: TermPoint, other: TermPoint): boolean {
  return one.epoch === other.epoch ? one.revision < other.revision : one.epoch < other.epoch;
}

/** Highest revision among these that are of the epoch's incarnation; 0: there are none. */
export function revisionWithin(epoch: number, points: Iterable<TermPoint>): number {
  const incarnation = incarnationOf(epoch);
  const same = [...points].filter((point) => incarnationOf(point.epoch) === incarnation);
  return Math.max(0, ...same.map(({ revision }) => revision));
}
