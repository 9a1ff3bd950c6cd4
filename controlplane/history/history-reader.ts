// The past as one list, newest first: ended builds and rollouts of the store and of the archive. The store is
// read first: what leaves it meanwhile is in the archive by then.
import type { BuildRow } from "../../core/builds/build-row.ts";
import { placeOfRow, timeDigits } from "../../core/history/archive-plan.ts";
import { DAY_MS, dayOf, dayStartMs } from "../../core/history/calendar.ts";
import { isPageKnown, newestFirst, type Placed } from "../../core/history/newest-first.ts";
import { dayBefore, type SegmentName } from "../../core/history/segment-name.ts";
import type { Store } from "../../runtime/store/store.ts";
import { ENDED_STATES } from "../builds/build-keys.ts";
import { parseBuild } from "../builds/build-row-json.ts";
import type { BuildTable } from "../builds/build-table.ts";
import {
  BY_TIME_PREFIX,
  ofServicePrefix,
  parseRollout,
  type RolloutRecord,
  recordOf,
  rolloutKey,
} from "../rollouts/rollout-record.ts";
import type { Archive, ArchivedRow } from "./archive.ts";

/** Segments read for one page: 64 of up to 1 MiB; where they do not fill it, the page is a short one. */
const SEGMENTS_MAX = 64;
/** Days looked at for one page: each is a list call at the origin. */
const DAYS_MAX = 62;
/** Index rows of a step. */
const STEP_ROWS = 200;
/** Beyond every place. */
const END = "~";

/** What a page is of; times are unix milliseconds by when a row was made. */
export interface HistoryQuery {
  /** Empty: all. */
  readonly service: string;
  /** Not older than this. */
  readonly sinceMs: number;
  /** Older than this; 0: all. */
  readonly untilMs: number;
  readonly limit: number;
  /** Older than this place, from the page before; empty: from the newest on. */
  readonly pageToken: string;
}

export type HistoryItem =
  | { readonly kind: "build"; readonly row: BuildRow }
  | { readonly kind: "rollout"; readonly record: RolloutRecord; readonly revision: number };

export interface HistoryRow extends Placed {
  readonly item: HistoryItem;
  readonly isArchived: boolean;
}

/** `nextPageToken` is empty at the end; a page may be short, also empty, before. */
export interface HistoryPage {
  readonly rows: readonly HistoryRow[];
  readonly nextPageToken: string;
}

/** What is known of the archive below a place: all down to `frontier`, empty where all is. */
interface ArchivePart {
  readonly rows: readonly HistoryRow[];
  readonly frontier: string;
}

/** Reads the past, at any replica. */
export class HistoryReader {
  readonly #store: Store;
  readonly #table: BuildTable;
  readonly #archive: Archive;

  constructor(store: Store, table: BuildTable, archive: Archive) {
    this.#store = store;
    this.#table = table;
    this.#archive = archive;
  }

  /** One page. */
  async page(query: HistoryQuery): Promise<HistoryPage> {
    const { limit, sinceMs, untilMs, pageToken } = query;
    const until = untilMs === 0 ? END : timeDigits(untilMs);
    const before = pageToken !== "" && pageToken < until ? pageToken : until;
    const hot = [
      ...(await this.#hotBuilds(query, before)),
      ...(await this.#hotRollouts(query, before)),
    ];
    const { rows, frontier } = await this.#archived(query, before, hot);
    const least = [frontier, timeDigits(sinceMs)].sort().at(-1) as string;
    const known = newestFirst(rows, before).filter(({ place }) => place >= least);
    const page = known.slice(0, limit);
    if (known.length > limit) return { rows: page, nextPageToken: page.at(-1)?.place ?? "" };
    return { rows: page, nextPageToken: frontier > timeDigits(sinceMs) ? frontier : "" };
  }

  async #hotBuilds({ service, limit }: HistoryQuery, before: string): Promise<HistoryRow[]> {
    // Places of builds have a "/" between time and id.
    const place = before === END ? "" : `${before.slice(0, 15)}/${before.slice(16)}`;
    const filter = { service, states: ENDED_STATES };
    const { rows } = await this.#table.page(filter, place, limit + 1);
    return rows.map((row) => ({
      place: placeOfRow(row),
      revision: Number.POSITIVE_INFINITY,
      item: { kind: "build", row },
      isArchived: false,
    }));
  }

  async #hotRollouts(query: HistoryQuery, before: string): Promise<HistoryRow[]> {
    const { service, limit, sinceMs } = query;
    const prefix = service === "" ? BY_TIME_PREFIX : ofServicePrefix(service);
    const rows: HistoryRow[] = [];
    let after = before === END ? undefined : `${prefix}${before}`;
    for (;;) {
      const page = await this.#store.range({
        ...{ prefix, limit: STEP_ROWS, descending: true },
        ...(after === undefined ? {} : { after }),
      });
      for (const { key, value } of page.entries) {
        if (rows.length > limit || key.slice(prefix.length) < timeDigits(sinceMs)) return rows;
        const entry = await this.#store.get(rolloutKey(new TextDecoder().decode(value)));
        const record = entry && parseRollout(entry);
        if (entry === undefined || record === undefined || record.endedAtMs === 0) continue;
        rows.push({
          place: placeOfRow(record),
          revision: Number.POSITIVE_INFINITY,
          item: { kind: "rollout", record, revision: entry.modRevision },
          isArchived: false,
        });
      }
      after = page.entries.at(-1)?.key;
      if (!page.more || after === undefined) return rows;
    }
  }

  /** These rows and those of the archive, day by day backwards until the page is known. */
  async #archived(
    query: HistoryQuery,
    before: string,
    hot: readonly HistoryRow[],
  ): Promise<ArchivePart> {
    const { service, sinceMs, limit } = query;
    const rows = [...hot];
    const isKnown = (frontier: string): boolean =>
      isPageKnown(newestFirst(rows, before), limit + 1, frontier);
    const firstDay = await this.#archive.firstDay();
    const lastDay = [firstDay ?? END, dayOf(sinceMs)].sort().at(-1) as string;
    // Clocks of replicas differ: what is to come may be there already.
    let day = dayOf(before === END ? Date.now() + DAY_MS : Number(before.slice(0, 15)));
    let segmentsLeft = SEGMENTS_MAX;
    for (let days = 0; day >= lastDay; days += 1) {
      if (days === DAYS_MAX) return { rows, frontier: timeDigits(dayStartMs(day) + DAY_MS) };
      for (const segment of newestSegments(await this.#archive.segments(day), before)) {
        const frontier = timeDigits(segment.lastMs + 1);
        if (segmentsLeft === 0 || isKnown(frontier)) return { rows, frontier };
        segmentsLeft -= 1;
        const read = await this.#archive.read(segment);
        rows.push(...read.filter((row) => isOf(row, service)).map((row) => rowOf(segment, row)));
      }
      const frontier = timeDigits(dayStartMs(day));
      if (isKnown(frontier)) return { rows, frontier };
      day = dayBefore(day);
    }
    return { rows, frontier: "" };
  }
}

/** Builds' and rollouts' segments that may have rows below a place, those that reach highest first. */
function newestSegments(segments: readonly SegmentName[], before: string): SegmentName[] {
  return segments
    .filter(({ kind, firstMs }) => kind !== "releases" && timeDigits(firstMs) < before)
    .sort((a, b) => b.lastMs - a.lastMs);
}

function isOf({ json }: ArchivedRow, service: string): boolean {
  return service === "" || (json as { readonly service?: unknown }).service === service;
}

function rowOf({ kind }: SegmentName, { place, revision, json }: ArchivedRow): HistoryRow {
  const item: HistoryItem =
    kind === "builds"
      ? { kind: "build", row: parseBuild(json) }
      : { kind: "rollout", record: recordOf(json), revision };
  return { place, revision, item, isArchived: true };
}
