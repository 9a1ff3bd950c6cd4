// Ids of builds and rollouts: 8 hex digits for the second they were made in, and 8 drawn by chance. So the archive
// finds a row by its id alone, and how old an id is can be told where its row is gone.

/** Seconds that fit into 8 digits: until the year 2106. */
const SECONDS_END = 2 ** 32;
const HALF_DIGITS = 8;

/**
 * The 16 digits of an id that is made at `atMs` (unix milliseconds); `chance` is a whole number from 0 to 2^32 - 1.
 * Two of one second are the same once in four thousand million times, and whoever writes them compares.
 */
export function timedDigits(atMs: number, chance: number): string {
  return hex(Math.floor(atMs / 1_000) % SECONDS_END) + hex(chance);
}

/** The second in which an id (`b-` or `r-` and 16 hex digits) was made, as unix milliseconds. */
export function timeOfId(id: string): number {
  return Number.parseInt(id.slice(2, 2 + HALF_DIGITS), 16) * 1_000;
}

/** Whether an id says when its row was made; those of early versions do not. */
export function isTimed({
  id,
  createdAtMs,
}: {
  readonly id: string;
  readonly createdAtMs: number;
}): boolean {
  return timeOfId(id) === Math.floor(createdAtMs / 1_000) * 1_000;
}

function hex(half: number): string {
  return half.toString(16).padStart(HALF_DIGITS, "0");
}
