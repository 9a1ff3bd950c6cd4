// A put into a gs: store: the body is gathered in chunks, and an upload takes them while the next are filled.
// What comes out is compared with what went in, by the MD5 that GCS keeps of an object.
import { createHash, type Hash } from "node:crypto";
import { BlobUnavailableError } from "./blob-store.ts";
import type { BlobBody } from "./blob-writer.ts";
import { CHUNK_BYTES, type ChunkPool } from "./chunk-pool.ts";
import type { GcsBucket, GcsObject } from "./gcs-bucket.ts";
import { gcsFailure } from "./gcs-failures.ts";
import { type UploadEnd, UploadSession } from "./gcs-session.ts";
import type { GcsWire } from "./gcs-wire.ts";

/** What puts of one store share. */
export interface UploadPlace {
  readonly bucket: GcsBucket;
  readonly wire: GcsWire;
  readonly pool: ChunkPool;
}

/** Bytes to send; their memory is the caller's, or the pool's, which gets it back. */
interface Chunk {
  readonly bytes: Uint8Array;
  readonly memory?: Uint8Array;
  readonly end?: UploadEnd;
}

/** Uploads a body to a key that seems absent; "present" where another put was first. */
export async function upload(
  place: UploadPlace,
  key: string,
  body: BlobBody,
): Promise<"stored" | "present"> {
  if (body instanceof Uint8Array) return sendAll(place, key, slices(body));
  const queue = new ChunkQueue(place.pool);
  const filled = queue.fill(body);
  // The queue tells it, once what was filled before is sent.
  filled.catch(() => {});
  try {
    return await sendAll(place, key, queue);
  } finally {
    queue.stop();
    // The body is closed before the put ends: its memory is the caller's again.
    await filled.catch(() => {});
  }
}

/** Sends chunks until one is the last, or nothing more is wanted. */
async function sendAll(
  { bucket, wire, pool }: UploadPlace,
  key: string,
  chunks: Iterable<Chunk> | AsyncIterable<Chunk>,
): Promise<"stored" | "present"> {
  const session = new UploadSession(bucket, wire, key);
  let offset = 0;
  try {
    for await (const { bytes, memory, end } of chunks) {
      const state = await session.send(bytes, offset, end).catch((error: unknown) => {
        if (memory !== undefined) pool.lose();
        throw gcsFailure(error, `blob ${key}`, bucket.address);
      });
      offset += bytes.length;
      // An answer that did not wait for the bytes leaves them to the connection.
      if (memory !== undefined && state.kind !== "present") pool.give(memory);
      else if (memory !== undefined) pool.lose();
      if (state.kind === "present") return "present";
      if (state.kind === "whole") {
        await compare(bucket, key, state.object, offset, end);
        return "stored";
      }
    }
    throw new Error(`the chunks of blob ${key} have no end`);
  } catch (error) {
    await session.abandon();
    throw error;
  }
}

/** A body that is in memory as it is: nothing is copied. */
function* slices(body: Uint8Array): Generator<Chunk, void, void> {
  const end = { hash: createHash("md5").update(body).digest("base64") };
  for (let at = 0; at === 0 || at < body.length; at += CHUNK_BYTES) {
    const bytes = body.subarray(at, at + CHUNK_BYTES);
    yield at + bytes.length === body.length ? { bytes, end } : { bytes };
  }
}

/** Deletes what did not arrive as it was sent. */
async function compare(
  bucket: GcsBucket,
  key: string,
  object: GcsObject,
  bytes: number,
  end: UploadEnd | undefined,
): Promise<void> {
  if (object.md5Hash === end?.hash && Number(object.size) === bytes) return;
  const { generation } = object;
  await bucket
    .delete(key, generation === undefined ? undefined : String(generation))
    .catch((error: unknown) => {
      throw gcsFailure(error, `the damaged blob ${key}`, bucket.address);
    });
  const sent = `${bytes} bytes, MD5 ${end?.hash}`;
  throw new BlobUnavailableError(
    `blob ${key} was damaged on its way to gs://${bucket.address.bucket} and deleted there: ` +
      `${object.size} bytes, MD5 ${object.md5Hash} arrived of ${sent}`,
  );
}

/** Chunks between a body and its upload; the pool bounds how many there are. */
class ChunkQueue {
  readonly #pool: ChunkPool;
  readonly #hash: Hash = createHash("md5");
  #chunks: Chunk[] = [];
  #isEnded = false;
  #failure: { readonly error: unknown } | undefined;
  #isStopped = false;
  #wake = (): void => {};

  constructor(pool: ChunkPool) {
    this.#pool = pool;
  }

  /** Gathers the body; rejects with what it throws. */
  async fill(parts: AsyncIterable<Uint8Array>): Promise<void> {
    let memory = await this.#pool.take();
    let used = 0;
    try {
      for await (const part of parts) {
        if (this.#isStopped) break;
        this.#hash.update(part);
        for (let at = 0; at < part.length; ) {
          if (used === CHUNK_BYTES) {
            this.#add({ bytes: memory, memory });
            memory = await this.#pool.take();
            used = 0;
          }
          const count = Math.min(part.length - at, CHUNK_BYTES - used);
          memory.set(part.subarray(at, at + count), used);
          used += count;
          at += count;
        }
      }
      const end = { hash: this.#hash.digest("base64") };
      this.#add({ bytes: memory.subarray(0, used), memory, end });
    } catch (error) {
      this.#pool.give(memory);
      this.#failure = { error };
      throw error;
    } finally {
      this.#isEnded = true;
      this.#wake();
    }
  }

  /** What is filled is thrown away, now and later; the body is closed at its next part. */
  stop(): void {
    this.#isStopped = true;
    for (const chunk of this.#chunks) this.#giveBack(chunk);
    this.#chunks = [];
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Chunk, void, void> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (this.#failure !== undefined) throw this.#failure.error;
      else if (this.#isEnded) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #add(chunk: Chunk): void {
    if (this.#isStopped) this.#giveBack(chunk);
    else this.#chunks.push(chunk);
    this.#wake();
  }

  #giveBack({ memory }: Chunk): void {
    if (memory !== undefined) this.#pool.give(memory);
  }
}
