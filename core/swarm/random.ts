// Chance as an argument: a machine gets a seed and makes the same choices from it again.

/** Gives numbers in [0, 1); each call moves on. */
export type Random = () => number;

/** The generator mulberry32: 32 bits of state, even enough for choices and jitter, not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
