// Names of the archive's segments: `history/<day>/<kind>-<first>-<last>-<digest>`, where first and last are the
// times of day of its oldest and newest row by when they were made. A reader knows from names alone which
// segments may hold a row, and the same rows have the same name.
import type { ArchiveKind } from "./archive-plan.ts";
import { DAY_MS, dayOf, dayStartMs, sinceMidnightMs, timeOfDay } from "./calendar.ts";

/** Prefix of all of them. */
export const HISTORY_PREFIX = "history/";

/** A segment as its name tells. */
export interface SegmentName {
  readonly key: string;
  readonly kind: ArchiveKind;
  /** Unix milliseconds, whole seconds: no row of it is older. */
  readonly firstMs: number;
  /** No row of it was made after this, unix milliseconds. */
  readonly lastMs: number;
  /** Digest of its plain bytes, 32 hex digits. */
  readonly digest: string;
}

const NAME =
  /^history\/(\d{4}-\d{2}-\d{2})\/(builds|rollouts|releases)-(\d{6})-(\d{6})-([0-9a-f]{32})$/;
const SECOND_MS = 1_000;

/** Prefix of a day's segments, of one kind or all. */
export function dayPrefix(day: string, kind?: ArchiveKind): string {
  return `${HISTORY_PREFIX}${day}/${kind === undefined ? "" : `${kind}-`}`;
}

/** The key of a segment whose rows, all of one day, were made at these times. */
export function segmentKey(
  kind: ArchiveKind,
  madeAtMs: { readonly first: number; readonly last: number },
  digest: string,
): string {
  const { first, last } = madeAtMs;
  return `${dayPrefix(dayOf(first), kind)}${timeOfDay(first)}-${timeOfDay(last)}-${digest}`;
}

/** Reads a name; undefined: it is none. */
export function parseSegment(key: string): SegmentName | undefined {
  const [, day = "", kind = "", first = "", last = "", digest = ""] = NAME.exec(key) ?? [];
  const dayMs = dayStartMs(day);
  if (Number.isNaN(dayMs)) return undefined;
  const firstMs = dayMs + sinceMidnightMs(first);
  const lastMs = dayMs + sinceMidnightMs(last) + SECOND_MS - 1;
  return { key, kind: kind as ArchiveKind, firstMs, lastMs, digest };
}

/** The day of a key below HISTORY_PREFIX; undefined where it names none. */
export function dayOfKey(key: string): string | undefined {
  const day = key.slice(HISTORY_PREFIX.length).split("/")[0] ?? "";
  return Number.isNaN(dayStartMs(day)) ? undefined : day;
}

/** The day before. */
export function dayBefore(day: string): string {
  return dayOf(dayStartMs(day) - DAY_MS);
}
