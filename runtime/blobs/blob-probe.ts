// Whether a blob store can be used, found out by using it: a small blob is put, read and deleted. Done now and
// then, as each time costs three requests where the store is a cloud's.
import { monotonicNow } from "../driver.ts";
import type { BlobStore } from "./blob-store.ts";

/** An outcome holds so long: 8,640 requests a day. */
const GOOD_MS = 30_000;
/** What was wrong is looked at again sooner. */
const BAD_MS = 5_000;
const BYTES = new TextEncoder().encode("Millrace looks whether it can write here.\n");

/** Puts, reads and deletes a blob of this name; what went wrong, or undefined. */
export async function probeBlobs(store: BlobStore, name: string): Promise<string | undefined> {
  const key = `probes/${name}`;
  try {
    await store.put(key, BYTES);
  } catch (error) {
    return `it cannot be written: ${(error as Error).message}`;
  }
  try {
    const target = new Uint8Array(BYTES.length);
    const bytes = await store.read(key, 0, target);
    if (bytes !== BYTES.length)
      return `of ${BYTES.length} bytes that were written ${bytes} are read`;
  } catch (error) {
    return `it cannot be read: ${(error as Error).message}`;
  }
  try {
    await store.delete(key);
  } catch (error) {
    return `nothing can be deleted in it: ${(error as Error).message}`;
  }
  return undefined;
}

/** A store that is probed at most every few seconds. */
export class BlobProbe {
  readonly #store: BlobStore;
  readonly #name: string;
  #found: string | undefined;
  #dueAt = 0;
  #probing: Promise<void> | undefined;

  /** `name` is of this process alone. */
  constructor(store: BlobStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  /** What is wrong with the store, as of the last probe. */
  async trouble(): Promise<string | undefined> {
    if (monotonicNow() >= this.#dueAt) {
      this.#probing ??= this.#probe().finally(() => {
        this.#probing = undefined;
      });
      await this.#probing;
    }
    return this.#found;
  }

  async #probe(): Promise<void> {
    this.#found = await probeBlobs(this.#store, this.#name);
    this.#dueAt = monotonicNow() + (this.#found === undefined ? GOOD_MS : BAD_MS);
  }
}
