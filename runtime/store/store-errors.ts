// The typed failures of a store, the same for every driver. What a caller does next differs: a limit
// is a bug or bad input, "unavailable" may be tried again, "unknown outcome" must be read first.

/** A request over one of the limits in store-limits.ts; nothing happened. */
export class StoreLimitError extends Error {
  override readonly name = "StoreLimitError";
}

/** The store could not be used, and the request did not happen. */
export class StoreUnavailableError extends Error {
  override readonly name = "StoreUnavailableError";
}

/** The store failed while committing: the request may have happened; read before trying again. */
export class StoreUnknownOutcomeError extends Error {
  override readonly name = "StoreUnknownOutcomeError";
}

/** A transaction put a key on a lease that does not exist any more; nothing happened. */
export class LeaseNotFoundError extends Error {
  override readonly name = "LeaseNotFoundError";
  readonly lease: string;

  constructor(lease: string) {
    super(`lease ${lease} does not exist: it expired or was revoked`);
    this.lease = lease;
  }
}

/** The history before `compactedRevision` is gone: read the range anew and watch from there. */
export class RevisionCompactedError extends Error {
  override readonly name = "RevisionCompactedError";
  readonly revision: number;
  readonly compactedRevision: number;

  constructor(revision: number, compactedRevision: number) {
    super(`revision ${revision} is compacted: history starts at revision ${compactedRevision}`);
    this.revision = revision;
    this.compactedRevision = compactedRevision;
  }
}
