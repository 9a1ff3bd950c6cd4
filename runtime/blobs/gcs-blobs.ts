// The gs: driver of the blob store: one prefix of a bucket in Google Cloud Storage. An object that must not
// exist is a precondition of every put, so the first wins; this file holds the store's promises together,
// gcs-upload.ts and gcs-download.ts move the bytes, gcs-bucket.ts asks for everything else.
import {
  type BlobHead,
  type BlobListOptions,
  BlobNotFoundError,
  type BlobPage,
  type BlobRange,
  type BlobStore,
  BlobUnavailableError,
  blobCount,
  blobKey,
  blobListLimit,
  blobPrefix,
  isBlobSegment,
} from "./blob-store.ts";
import type { BlobBody } from "./blob-writer.ts";
import { CHUNKS_DEFAULT, ChunkPool } from "./chunk-pool.ts";
import { type GcsAddress, placeOf } from "./gcs-address.ts";
import { GcsBucket } from "./gcs-bucket.ts";
import { download, downloadBuffers } from "./gcs-download.ts";
import { gcsFailure } from "./gcs-failures.ts";
import { PATIENCE_MS } from "./gcs-patience.ts";
import { upload } from "./gcs-upload.ts";
import { GcsWire } from "./gcs-wire.ts";

/** What may differ from store to store. */
export interface GcsOptions {
  /** How long an operation is tried again without progress. */
  readonly patienceMs?: number;
  /** Chunks of 8 MiB that all puts may hold at a time. */
  readonly chunksMax?: number;
}

/** Opens the store, and asks the bucket once; BlobUnavailableError where it may not or cannot be read. */
export async function openGcsBlobs(
  address: GcsAddress,
  { patienceMs = PATIENCE_MS, chunksMax = CHUNKS_DEFAULT }: GcsOptions = {},
): Promise<BlobStore> {
  const bucket = await GcsBucket.load(address, patienceMs);
  try {
    await bucket.credentials();
    await bucket.list("", "");
  } catch (error) {
    throw gcsFailure(error, "the blob store", address);
  }
  return new GcsBlobs(bucket, chunksMax);
}

/** The blobs below one prefix of a bucket; see BlobStore for what each call promises. */
class GcsBlobs implements BlobStore {
  readonly place: string;
  readonly #bucket: GcsBucket;
  readonly #wire = new GcsWire();
  readonly #pool: ChunkPool;
  readonly #puts = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(bucket: GcsBucket, chunksMax: number) {
    this.place = placeOf(bucket.address);
    this.#bucket = bucket;
    this.#pool = new ChunkPool(chunksMax);
  }

  async put(key: string, body: BlobBody): Promise<"stored" | "present"> {
    blobKey(key);
    this.#checkOpen();
    const put = this.#put(key, body);
    this.#puts.add(put);
    try {
      return await put;
    } finally {
      this.#puts.delete(put);
    }
  }

  async *get(key: string, range?: BlobRange): AsyncGenerator<Uint8Array, void, void> {
    blobKey(key);
    const offset = blobCount(range?.offset ?? 0, "offset");
    const bytes = blobCount(range?.bytes ?? Number.MAX_SAFE_INTEGER, "length");
    this.#checkOpen();
    try {
      if (bytes === 0) await this.#mustExist(key);
      else yield* downloadBuffers(this.#bucket, this.#wire, { key, offset, bytes });
    } catch (error) {
      throw this.#failure(error, key);
    }
  }

  async read(key: string, offset: number, target: Uint8Array): Promise<number> {
    blobKey(key);
    blobCount(offset, "offset");
    this.#checkOpen();
    let count = 0;
    try {
      if (target.length === 0) await this.#mustExist(key);
      const wanted = { key, offset, bytes: target.length };
      const parts = target.length === 0 ? [] : download(this.#bucket, this.#wire, wanted);
      for await (const part of parts) {
        target.set(part, count);
        count += part.length;
      }
      return count;
    } catch (error) {
      throw this.#failure(error, key);
    }
  }

  async head(key: string): Promise<BlobHead | undefined> {
    blobKey(key);
    this.#checkOpen();
    try {
      return await this.#bucket.head(key);
    } catch (error) {
      throw this.#failure(error, key);
    }
  }

  async list(prefix: string, options: BlobListOptions = {}): Promise<BlobPage> {
    blobPrefix(prefix);
    const { after = "" } = options;
    const limit = blobListLimit(options.limit);
    this.#checkOpen();
    const blobs: BlobHead[] = [];
    let start: string | undefined = after === "" ? "" : after;
    try {
      while (start !== undefined && blobs.length <= limit) {
        const { objects, next } = await this.#bucket.list(prefix, start);
        for (const { name, bytes } of objects) {
          // What others put into the bucket is no blob of ours.
          if (name > after && isKey(name)) blobs.push({ key: name, bytes });
        }
        start = next;
      }
    } catch (error) {
      throw this.#failure(error, `${prefix}*`);
    }
    return { blobs: blobs.slice(0, limit), more: blobs.length > limit };
  }

  async delete(key: string): Promise<boolean> {
    blobKey(key);
    this.#checkOpen();
    try {
      return await this.#bucket.delete(key);
    } catch (error) {
      throw this.#failure(error, key);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#puts);
    this.#wire.close();
  }

  async #put(key: string, body: BlobBody): Promise<"stored" | "present"> {
    const isPresent = (await this.head(key)) !== undefined;
    if (!isPresent) {
      return upload({ bucket: this.#bucket, wire: this.#wire, pool: this.#pool }, key, body);
    }
    if (!(body instanceof Uint8Array)) for await (const _ of body) break;
    return "present";
  }

  async #mustExist(key: string): Promise<void> {
    if ((await this.#bucket.head(key)) === undefined) throw new BlobNotFoundError(key);
  }

  #failure(error: unknown, key: string): unknown {
    return gcsFailure(error, `blob ${key}`, this.#bucket.address);
  }

  #checkOpen(): void {
    const { bucket, prefix } = this.#bucket.address;
    if (this.#isClosed)
      throw new BlobUnavailableError(`blob store gs://${bucket}/${prefix} is closed`);
  }
}

function isKey(name: string): boolean {
  return name.split("/").every(isBlobSegment);
}
