// What the blob store's contract suite needs of a driver under test, and the words its cases share.
import type { BlobListOptions, BlobRange, BlobStore } from "../../runtime/blobs/blob-store.ts";

/** A blob store of one test, empty at first. */
export interface OpenedBlobs {
  readonly store: BlobStore;
  /** What openBlobStore() takes to open the same store in another process. */
  readonly url: string;
  /** Closes the store and opens it again, as a restarted program would. */
  reopen(): Promise<BlobStore>;
  /** Closes the store and removes what it kept. */
  dispose(): Promise<void>;
}

/** Opens an empty blob store. */
export type OpenBlobs = () => Promise<OpenedBlobs>;

/** Bytes that differ from place to place, the same for the same seed. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** The bytes in parts of at most `size`. */
export async function* parts(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** All that get() yields. */
export async function content(store: BlobStore, key: string, range?: BlobRange): Promise<Buffer> {
  const buffers: Uint8Array[] = [];
  for await (const buffer of store.get(key, range)) buffers.push(buffer);
  return Buffer.concat(buffers);
}

/** The keys of a whole list, by pages. */
export async function keysOf(
  store: BlobStore,
  prefix: string,
  options: BlobListOptions = {},
): Promise<string[]> {
  const keys: string[] = [];
  let after = options.after;
  while (true) {
    const page = await store.list(prefix, { ...options, ...(after !== undefined && { after }) });
    keys.push(...page.blobs.map(({ key }) => key));
    if (!page.more) return keys;
    after = keys.at(-1);
  }
}
