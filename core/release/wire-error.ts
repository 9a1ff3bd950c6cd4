// The one error for bytes that came from a file, a store or a peer and are not what the format says.

/** What is wrong, where it was read, and the limit it broke where there is one. */
export class WireError extends Error {
  override readonly name = "WireError";
  readonly what: string;
  readonly where: string;
  readonly limit: number | undefined;

  constructor(what: string, where: string, limit?: number) {
    super(`${where}: ${what}${limit === undefined ? "" : ` (limit ${limit})`}`);
    this.what = what;
    this.where = where;
    this.limit = limit;
  }
}
