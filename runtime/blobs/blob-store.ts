// The blob store: immutable byte strings under path-like keys. This file owns the interface, the rules
// for keys and the typed failures; drivers do the rest. A blob is whole or absent, and never changes:
// whoever deletes a key and puts other bytes under it may be served the old ones for a while.

/** UTF-8 bytes of a key; the alphabet is ASCII, so also characters. Cloud stores take 1,024. */
export const BLOB_KEY_BYTES_MAX = 512;
/** Bytes of a segment: file systems take names of 255, and a driver may add a mark. */
export const BLOB_SEGMENT_BYTES_MAX = 250;
/** Blobs of a list page, also the default: the page size of the cloud stores. */
export const BLOB_LIST_MAX = 1000;

/** A blob's key and size in bytes. */
export interface BlobHead {
  readonly key: string;
  readonly bytes: number;
}

/** A part of a blob; what lies beyond the blob's end is left out. */
export interface BlobRange {
  readonly offset: number;
  readonly bytes: number;
}

/** `after` is a key to go on from, itself left out; `limit` is 1 to BLOB_LIST_MAX. */
export interface BlobListOptions {
  readonly after?: string;
  readonly limit?: number;
}

/** Blobs in the order of their keys' bytes. */
export interface BlobPage {
  readonly blobs: readonly BlobHead[];
  readonly more: boolean;
}

/** What became of a blob that two stores were to share. */
export type Shared = "stored" | "present" | "apart";

/** Every call rejects with BlobKeyError for a key against the rules. */
export interface BlobStore {
  /** Where the blobs are, as a URL: two stores of one place are one store, however they were named. */
  readonly place: string;
  /**
   * Puts the blob if its key is absent: atomic, durable when it resolves, and nothing is visible of an
   * interrupted put. A body that is not needed is closed unread. A part of a body is the store's until
   * it asks for the next: then its memory may be used again. BlobFullError when space is out.
   */
  put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>): Promise<"stored" | "present">;
  /**
   * Puts the blob that `from` has under the key, without copying it, where both stores can keep the same
   * bytes; "apart" where they cannot, and a put must bring them. `verified` is called before anything is
   * visible, once they can; what it throws ends the put. As atomic and durable as a put.
   */
  share?(key: string, from: BlobStore, verified: () => Promise<void>): Promise<Shared>;
  /** The bytes in buffers that belong to the caller; throws BlobNotFoundError when iterated. */
  get(key: string, range?: BlobRange): AsyncIterable<Uint8Array>;
  /** Fills `target` from `offset` as far as the blob reaches; the bytes read, 0 beyond its end. */
  read(key: string, offset: number, target: Uint8Array): Promise<number>;
  /** Key and size, or undefined when absent. */
  head(key: string): Promise<BlobHead | undefined>;
  /** The blobs whose keys start with `prefix`, in key order, a page at a time. */
  list(prefix: string, options?: BlobListOptions): Promise<BlobPage>;
  /** Deletes the blob; false when it was absent. */
  delete(key: string): Promise<boolean>;
  /** Waits for running puts and frees what is held open; later calls are refused. */
  close(): Promise<void>;
}

/** A key or prefix against the rules. */
export class BlobKeyError extends Error {
  override readonly name = "BlobKeyError";
}

/** There is no blob under the key. */
export class BlobNotFoundError extends Error {
  override readonly name = "BlobNotFoundError";
  readonly key: string;

  constructor(key: string) {
    super(`blob ${key} does not exist`);
    this.key = key;
  }
}

/** The store has no space (or quota) left; nothing of the put is kept. */
export class BlobFullError extends Error {
  override readonly name = "BlobFullError";
}

/** The store cannot be used: closed, unreachable, or not a place this program may read or write. */
export class BlobUnavailableError extends Error {
  override readonly name = "BlobUnavailableError";
}

/**
 * Returns the key when it has 1 to 512 bytes and its segments, joined by "/", are 1 to 250 of
 * [A-Za-z0-9._-] and neither "." nor ".."; throws BlobKeyError otherwise.
 */
export function blobKey(key: string): string {
  checkLength(key, "key");
  if (key.length === 0) throw new BlobKeyError(`blob key "" is empty`);
  for (const segment of key.split("/")) checkSegment(segment, key, "key");
  return key;
}

/** Returns the prefix when some key could start with it; throws BlobKeyError otherwise. */
export function blobPrefix(prefix: string): string {
  checkLength(prefix, "prefix");
  const segments = prefix.split("/");
  const partial = segments.pop() ?? "";
  for (const segment of segments) checkSegment(segment, prefix, "prefix");
  if (!/^[A-Za-z0-9._-]*$/.test(partial) || partial.length > BLOB_SEGMENT_BYTES_MAX) {
    throw new BlobKeyError(`blob prefix ${shown(prefix)} ends in what no key may contain`);
  }
  return prefix;
}

/** Whether the text can be a segment of a key. */
export function isBlobSegment(text: string): boolean {
  return segmentFault(text) === undefined;
}

/** Returns an offset or length in bytes; throws RangeError where it is none. */
export function blobCount(count: number, what: string): number {
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new RangeError(`blob ${what} is ${count}, it must be a whole number from 0 on`);
}

/** Returns the limit of a list page, BLOB_LIST_MAX by default; throws RangeError where it is none. */
export function blobListLimit(limit = BLOB_LIST_MAX): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= BLOB_LIST_MAX) return limit;
  throw new RangeError(`blob list limit is ${limit}, allowed are 1 to ${BLOB_LIST_MAX}`);
}

function checkLength(text: string, what: string): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > BLOB_KEY_BYTES_MAX) {
    throw new BlobKeyError(
      `blob ${what} ${shown(text)} has ${bytes} bytes, the limit is ${BLOB_KEY_BYTES_MAX}`,
    );
  }
}

function checkSegment(segment: string, text: string, what: string): void {
  const fault = segmentFault(segment);
  if (fault === undefined) return;
  throw new BlobKeyError(`blob ${what} ${shown(text)}: segment ${shown(segment)} ${fault}`);
}

function segmentFault(segment: string): string | undefined {
  if (segment.length > BLOB_SEGMENT_BYTES_MAX) {
    return `has ${segment.length} bytes, the limit is ${BLOB_SEGMENT_BYTES_MAX}`;
  }
  if (segment === "." || segment === "..") return `may not be "." or ".."`;
  if (/^[A-Za-z0-9._-]+$/.test(segment)) return undefined;
  return "must be one or more of A-Z a-z 0-9 . _ -";
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
