// One list out of several that overlap: rows of the store and of the archive, newest first, each once. A row may
// lie in both, and twice in the archive, where a leader died between archiving and deleting.

/** A row in the order of time. */
export interface Placed {
  /** Its place; see placeOfRow. */
  readonly place: string;
  /** Store revision that it was last written at. */
  readonly revision: number;
}

/** The rows below `before`, newest first, each place once: as it was at its highest revision. */
export function newestFirst<Row extends Placed>(rows: readonly Row[], before: string): Row[] {
  const byPlace = new Map<string, Row>();
  for (const row of rows) {
    if (row.place >= before) continue;
    const known = byPlace.get(row.place);
    if (known === undefined || known.revision < row.revision) byPlace.set(row.place, row);
  }
  return [...byPlace.values()].sort((a, b) => (a.place < b.place ? 1 : -1));
}

/** Whether the first `count` rows of a page are known, where what is not read yet lies below `frontier`. */
export function isPageKnown<Row extends Placed>(
  rows: readonly Row[],
  count: number,
  frontier: string,
): boolean {
  const last = rows[count - 1];
  return last !== undefined && last.place >= frontier;
}
