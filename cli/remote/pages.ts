// Reads lists that the control plane hands out page by page.

/** Rows of a page at most: the server's own bound for builds, releases and rollouts. */
const PAGE_ROWS_MAX = 500;

/** What was read; `isCut` where there is more than was asked for. */
export interface Rows<Row> {
  readonly rows: readonly Row[];
  readonly isCut: boolean;
}

/** Reads pages until `limit` rows are there, or all. */
export async function readPages<Row>(
  limit: number,
  readPage: (page: {
    readonly limit: number;
    readonly pageToken: string;
  }) => Promise<{ readonly rows: readonly Row[]; readonly nextPageToken: string }>,
): Promise<Rows<Row>> {
  const rows: Row[] = [];
  let pageToken = "";
  do {
    const page = await readPage({ limit: Math.min(limit - rows.length, PAGE_ROWS_MAX), pageToken });
    rows.push(...page.rows);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && rows.length < limit);
  return { rows, isCut: pageToken !== "" };
}
