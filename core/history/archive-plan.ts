// Which rows of the past leave the store, and how they are put together in segments for the archive. Rows are
// named here and not read; whoever carries it out does that.
import { DAY_MS, dayOf } from "./calendar.ts";
import { timeOfId } from "./timed-id.ts";

/** What the archive keeps apart: a look-up reads one of them. */
export type ArchiveKind = "builds" | "rollouts" | "releases";

/** Ended rows stay in the store so long, unless told otherwise. */
export const HOT_DAYS_DEFAULT = 7;
/**
 * Ended builds in one state, and ended rollouts, that stay in the store at most, however young they are: with a
 * release each, 4,000 of some 10 KB together are 40 MB, and a burst of builds does not fill the store.
 */
export const HOT_ROWS_MAX = 4_000;
/** What equal requests are answered with is kept so long beyond the row: a build is still joined. */
export const DEDUP_MS = 90 * DAY_MS;
/** Rows of a segment; 1,000 of about 1 KiB are the bytes below. */
export const SEGMENT_ROWS_MAX = 1_000;
/** Plain bytes of a segment: a look-up reads it whole. */
export const SEGMENT_BYTES_MAX = 1 << 20;

/** An ended row as far as the plan goes; `bytes` are those of its line in the archive. */
export interface EndedRow {
  readonly id: string;
  readonly createdAtMs: number;
  readonly endedAtMs: number;
  readonly bytes: number;
}

/** Where the past begins: what ended before, or was made before, is to be archived. */
export interface Horizon {
  readonly endedBeforeMs: number;
  readonly createdBeforeMs: number;
}

/** The horizon now; `crowdedMs` is when the oldest row was made that its number lets stay, 0 where all may. */
export function horizonOf(nowMs: number, hotMs: number, crowdedMs: number): Horizon {
  return { endedBeforeMs: nowMs - hotMs, createdBeforeMs: crowdedMs };
}

/** Whether an ended row is to be archived. */
export function isCold(
  { createdAtMs, endedAtMs }: Pick<EndedRow, "createdAtMs" | "endedAtMs">,
  { endedBeforeMs, createdBeforeMs }: Horizon,
): boolean {
  return endedAtMs < endedBeforeMs || createdAtMs < createdBeforeMs;
}

/** Whether rows made at this time or later cannot be cold: a row ends no earlier than it is made. */
export function isBeyond(createdAtMs: number, horizon: Horizon): boolean {
  return createdAtMs >= Math.max(horizon.endedBeforeMs, horizon.createdBeforeMs);
}

/** Whether nobody is answered any more with what this id names. */
export function isForgotten(id: string, nowMs: number): boolean {
  return timeOfId(id) < nowMs - DEDUP_MS;
}

/** Rows in segments: each of one day by the time they were made, in that order, within the limits. */
export function segmentsOf<Row extends EndedRow>(rows: readonly Row[]): Row[][] {
  const sorted = [...rows].sort((a, b) => (placeOfRow(a) < placeOfRow(b) ? -1 : 1));
  const segments: Row[][] = [];
  let bytes = 0;
  for (const row of sorted) {
    const segment = segments.at(-1);
    const isFitting =
      segment !== undefined &&
      dayOf(segment[0]?.createdAtMs ?? 0) === dayOf(row.createdAtMs) &&
      segment.length < SEGMENT_ROWS_MAX &&
      bytes + row.bytes <= SEGMENT_BYTES_MAX;
    if (isFitting) segment.push(row);
    else segments.push([row]);
    bytes = isFitting ? bytes + row.bytes : row.bytes;
  }
  return segments;
}

/** Place of a row in the order of time, unique; later rows have greater ones. */
export function placeOfRow(row: { readonly createdAtMs: number; readonly id: string }): string {
  return `${timeDigits(row.createdAtMs)}-${row.id}`;
}

/** The place before all rows that were made at this time. */
export function timeDigits(atMs: number): string {
  return String(atMs).padStart(TIME_DIGITS, "0");
}

/** Digits of unix milliseconds, so that they sort. */
const TIME_DIGITS = 15;
