// The policy of which piece to ask of a neighbour: of those that it has and that wait for a source the
// one that fewest neighbours have. Pure, and a few words of bits at a time, as it is asked for each piece.
import type { Bitfield } from "./bitfield.ts";

/**
 * The rarest of `waiting` that a source has, from `start` on round the table, so that peers with the
 * same needs begin at different pieces. Stops at one that only `copiesMin` have. `isLeft` leaves pieces
 * out. Undefined: there is none.
 */
export function rarestPiece(
  waiting: Bitfield,
  has: Bitfield,
  copies: Uint16Array,
  options: {
    readonly start: number;
    readonly copiesMin: number;
    readonly isLeft?: ((piece: number) => boolean) | undefined;
  },
): number | undefined {
  const words = Math.min(waiting.width, has.width);
  const { start, copiesMin, isLeft } = options;
  const first = (start >>> 5) % words;
  const after = -1 << (start & 31);
  let rarest: number | undefined;
  let copiesLeast = Number.POSITIVE_INFINITY;
  // The first word comes twice: its bits from the start on, and at the end those before.
  for (let turn = 0; turn <= words; turn += 1) {
    const word = first + turn < words ? first + turn : first + turn - words;
    let bits = waiting.wordAt(word) & has.wordAt(word);
    if (turn === 0) bits &= after;
    else if (turn === words) bits &= ~after;
    while (bits !== 0) {
      const piece = (word << 5) + 31 - Math.clz32(bits & -bits);
      bits &= bits - 1;
      const count = copies[piece] ?? 0;
      if (count >= copiesLeast || isLeft?.(piece)) continue;
      if (count <= copiesMin) return piece;
      rarest = piece;
      copiesLeast = count;
    }
  }
  return rarest;
}

/**
 * Of the pieces in `have` and not in `settled` at most `count` of the lowest rank, the lowest first;
 * of equals those that come first from `start` on round the table.
 */
export function rarestPieces(
  have: Bitfield,
  settled: Bitfield,
  rank: Uint16Array,
  start: number,
  count: number,
): number[] {
  const words = have.width;
  const first = (start >>> 5) % words;
  const after = -1 << (start & 31);
  const chosen: number[] = [];
  let rankMax = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn <= words; turn += 1) {
    const word = first + turn < words ? first + turn : first + turn - words;
    const left = word < settled.width ? ~settled.wordAt(word) : -1;
    let bits = have.wordAt(word) & left;
    if (turn === 0) bits &= after;
    else if (turn === words) bits &= ~after;
    while (bits !== 0) {
      const piece = (word << 5) + 31 - Math.clz32(bits & -bits);
      bits &= bits - 1;
      const its = rank[piece] ?? 0;
      if (its >= rankMax) continue;
      let place = Math.min(chosen.length, count - 1);
      while (place > 0 && (rank[chosen[place - 1] ?? 0] ?? 0) > its) {
        chosen[place] = chosen[place - 1] ?? 0;
        place -= 1;
      }
      chosen[place] = piece;
      if (chosen.length === count) rankMax = rank[chosen[count - 1] ?? 0] ?? 0;
    }
  }
  return chosen;
}
