// A row that is to leave the store: its line for the archive, and what deletes it afterwards.
import type { EndedRow } from "../../core/history/archive-plan.ts";
import { HOT_ROWS_MAX } from "../../core/history/archive-plan.ts";
import type { Compare, Operation, Store } from "../../runtime/store/store.ts";
import { RANGE_ENTRIES_MAX } from "../../runtime/store/store-limits.ts";
import type { RowToArchive } from "./archive.ts";

/** The deletion holds only while all compares do: a row that changed since is not deleted. */
export interface ColdRow extends EndedRow, RowToArchive {
  readonly compares: readonly Compare[];
  readonly operations: readonly Operation[];
}

/**
 * When the oldest row was made that its number lets stay, unix milliseconds, by an index whose keys go on with
 * the time after `prefix`; 0: there are fewer than may stay. Where there are just as many it is told too: what belongs
 * to rows that have left already is older, and is to leave as well.
 */
export async function crowdedBefore(store: Store, prefix: string): Promise<number> {
  let after: string | undefined;
  let left = HOT_ROWS_MAX;
  for (;;) {
    const page = await store.range({
      prefix,
      descending: true,
      limit: Math.min(left, RANGE_ENTRIES_MAX),
      ...(after === undefined ? {} : { after }),
    });
    left -= page.entries.length;
    after = page.entries.at(-1)?.key;
    if (after !== undefined && left === 0) return Number.parseInt(after.slice(prefix.length), 10);
    if (after === undefined || !page.more) return 0;
  }
}
