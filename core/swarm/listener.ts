// What we know of one neighbour as a taker of pieces: what is not to be offered to it, what it is offered
// and took. `offers.ts` keeps it.
import type { Instant } from "../machine.ts";
import type { Bitfield } from "./bitfield.ts";
import type { Neighbour } from "./neighbour.ts";

/** One neighbour's part of what `Offers` knows. */
export interface Listener {
  readonly neighbour: Neighbour;
  /** Pieces that it has, is getting or does not need. */
  readonly settled: Bitfield;
  /** What it is offered and has not answered, and since when. */
  offered: readonly number[];
  offeredAt: Instant;
  /** Of a relay's: when it was last offered anything. */
  givenAt: Instant;
  /** How many of them it may take. */
  offeredCount: number;
  /** Bytes of the piece that it took and has not asked for, and when it last asked. */
  unaskedPiece: number;
  unaskedBytes: number;
  askedAt: Instant;
  /** Of an agent's: pieces that it took when they were offered, less those that it has told of since. */
  untold: number;
  /** Of a relay's: pieces that it asked for, since when, and such that it had time to tell of and did not. */
  given: Map<number, Instant> | undefined;
  doubted: Bitfield | undefined;
  /** There is nothing to offer it, as far as we have looked since something became whole. */
  isServed: boolean;
  /** It left an offer alone: nothing is offered before. Undefined: it did not. */
  pausedUntil: Instant | undefined;
}

/** A listener as it is when it has just connected. */
export function newListener(now: Instant, neighbour: Neighbour, settled: Bitfield): Listener {
  return {
    neighbour,
    settled,
    // First what is looked at most: together it is fetched from memory at once.
    offered: [],
    unaskedPiece: -1,
    unaskedBytes: 0,
    untold: 0,
    isServed: false,
    pausedUntil: undefined,
    given: undefined,
    doubted: undefined,
    offeredCount: 0,
    offeredAt: now,
    givenAt: now,
    askedAt: now,
  };
}
