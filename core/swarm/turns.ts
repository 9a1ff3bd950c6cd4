// Whose turn it is to be offered something: of those that can be offered anything whoever takes least now, where who is
// behind is forgiven some of that; of such whoever is a little behind, then the next in turn. It is asked for every offer,
// so all that it looks at is one number a neighbour.
import { PIECES_MAX } from "../release/limits.ts";

/**
 * Neighbours whose progress differs by less than four pieces are served in turn: so far, and about as much for the time
 * until haves are told, the last is behind the first at the end.
 */
const PROGRESS_SHIFT = 2;
/**
 * For so many pieces that a neighbour is behind, it counts as taking a block less: who has fewer neighbours than others,
 * or answers late, takes as much of each and gets less in all.
 */
const FORGIVEN_SHIFT = 4;
/** Further behind is not slow but late. */
const LATE_PIECES = 64;
/** A key is what a neighbour takes, and in these bits its progress: PIECES_MAX at most. */
const PROGRESS_BITS = 1 + Math.log2(PIECES_MAX);
const PROGRESS_MASK = (1 << PROGRESS_BITS) - 1;
/** The key of those that cannot be offered anything now. */
const CLOSED = -1;

export class Turns {
  readonly #keys: Int32Array;
  /** Places of the neighbours, whose turn comes first first. */
  readonly #order: Uint8Array;
  #count = 0;

  constructor(neighboursMax: number) {
    this.#keys = new Int32Array(neighboursMax).fill(CLOSED);
    this.#order = new Uint8Array(neighboursMax);
  }

  get count(): number {
    return this.#count;
  }

  /** Whoever is at a place now has the last turn. */
  add(place: number): void {
    this.#order[this.#count] = place;
    this.#count += 1;
  }

  remove(place: number): void {
    this.close(place);
    const at = this.#order.subarray(0, this.#count).indexOf(place);
    this.#count -= 1;
    this.#order.copyWithin(at, at + 1, this.#count + 1);
  }

  /**
   * It may be offered something: it takes so much now, and so many pieces are settled with it; PIECES_MAX where it is
   * never to count as behind.
   */
  open(place: number, load: number, settled: number): void {
    this.#keys[place] = (load << PROGRESS_BITS) | settled;
  }

  /** It may not be offered anything. */
  close(place: number): void {
    this.#keys[place] = CLOSED;
  }

  /**
   * The place of who is next, who then has the last turn; undefined when all are closed. Of `have` pieces that are
   * here whoever lacks a few goes first; who is far behind came late, and is served like all.
   */
  next(have: number): number | undefined {
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0; at < this.#count; at += 1) {
      const key = this.#keys[this.#order[at] as number] as number;
      if (key === CLOSED) continue;
      const settled = key & PROGRESS_MASK;
      const behind = have - settled;
      const isLate = behind > LATE_PIECES;
      const forgiven = isLate ? 0 : Math.max(0, behind) >> FORGIVEN_SHIFT;
      const load = Math.max(0, (key >> PROGRESS_BITS) - forgiven);
      const its = (load << PROGRESS_BITS) | ((isLate ? have : settled) >> PROGRESS_SHIFT);
      if (its >= least) continue;
      best = at;
      least = its;
    }
    if (best < 0) return undefined;
    const place = this.#order[best] as number;
    this.#order.copyWithin(best, best + 1, this.#count);
    this.#order[this.#count - 1] = place;
    return place;
  }
}
