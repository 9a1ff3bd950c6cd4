// Bytes of a blob in a gs: store, from any byte on: read as a stream that goes on where a connection broke,
// always of the generation that it began with.
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { freeMemory } from "../free-memory.ts";
import { BlobNotFoundError, BlobUnavailableError } from "./blob-store.ts";
import type { GcsBucket } from "./gcs-bucket.ts";
import { isAbsent } from "./gcs-failures.ts";
import { Patience } from "./gcs-patience.ts";
import { answerError, type GcsWire } from "./gcs-wire.ts";

/** Bytes of one buffer that a download yields: a block of the swarm. */
const YIELD_BYTES = 256 << 10;

/** A connection that ended before its answer did. */
class CutOffError extends Error {
  override readonly name = "CutOffError";
  readonly code = "ECONNRESET";
}

/** What is asked for: `bytes` from `offset` on, or as far as the blob reaches. */
export interface Wanted {
  readonly key: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * The wanted bytes as they come, in the memory of the connection: it is only good until the next part is
 * asked for. Throws BlobNotFoundError. A blob that is read whole is compared with its MD5 at the end.
 */
export async function* download(
  bucket: GcsBucket,
  wire: GcsWire,
  wanted: Wanted,
): AsyncGenerator<Buffer, void, void> {
  const patience = new Patience(bucket.patienceMs);
  const hash = createHash("md5");
  const end = wanted.offset + wanted.bytes;
  let at = wanted.offset;
  let generation: string | undefined;
  for (;;) {
    let answer: IncomingMessage | undefined;
    try {
      answer = await ask(bucket, wire, { ...wanted, offset: at, bytes: end - at }, generation);
      if (answer === undefined) return;
      const { blobEnd, told } = described(answer);
      generation ??= told.generation;
      for await (const part of answer as AsyncIterable<Buffer>) {
        hash.update(part);
        at += part.length;
        patience.progress();
        yield part;
        freeMemory(part);
      }
      if (at < Math.min(end, blobEnd)) throw new CutOffError(`it ended at byte ${at}`);
      const isWhole = wanted.offset === 0 && at === blobEnd && told.md5 !== undefined;
      if (isWhole && hash.digest("base64") !== told.md5) throw damaged(bucket, wanted.key);
      return;
    } catch (error) {
      await patience.outlast(error);
    } finally {
      answer?.destroy();
    }
  }
}

/** The wanted bytes in buffers of their own, for whoever keeps them. */
export async function* downloadBuffers(
  bucket: GcsBucket,
  wire: GcsWire,
  wanted: Wanted,
): AsyncGenerator<Uint8Array, void, void> {
  let buffer = new Uint8Array(Math.min(YIELD_BYTES, wanted.bytes));
  let used = 0;
  for await (const part of download(bucket, wire, wanted)) {
    for (let from = 0; from < part.length; ) {
      const count = part.copy(buffer, used, from);
      from += count;
      used += count;
      if (used < buffer.length) continue;
      yield buffer;
      buffer = new Uint8Array(YIELD_BYTES);
      used = 0;
    }
  }
  if (used > 0) yield buffer.slice(0, used);
}

/** Undefined where the blob does not reach as far as the offset. */
async function ask(
  bucket: GcsBucket,
  wire: GcsWire,
  { key, offset, bytes }: Wanted,
  generation: string | undefined,
): Promise<IncomingMessage | undefined> {
  const isToEnd = bytes > Number.MAX_SAFE_INTEGER - offset;
  // A range of a blob without bytes is refused, so what begins at 0 and has no end is asked for without.
  const range =
    offset === 0 && isToEnd ? undefined : `bytes=${offset}-${isToEnd ? "" : offset + bytes - 1}`;
  const pinned = generation === undefined ? "" : `&generation=${generation}`;
  const url = bucket.mediaUrl(key) + pinned;
  const headers = { ...(await bucket.credentials()), ...(range && { range }) };
  const answer = await wire.send({ method: "GET", url, headers });
  switch (answer.statusCode) {
    case 200:
      if (offset > 0)
        throw new BlobUnavailableError(`blob ${key} came from its start, not ${range}`);
      return answer;
    case 206:
      return answer;
    case 416:
      answer.resume();
      return undefined;
    default: {
      const error = await answerError(answer);
      if (isAbsent(error)) throw new BlobNotFoundError(key);
      throw error;
    }
  }
}

/** How far the blob reaches, and what else the headers tell of it. */
function described({ headers }: IncomingMessage): {
  blobEnd: number;
  told: { generation: string | undefined; md5: string | undefined };
} {
  const total = headers["content-range"]?.split("/")[1] ?? headers["content-length"];
  const hashes = String(headers["x-goog-hash"] ?? "");
  const generation = headers["x-goog-generation"];
  const md5 = /md5=([^,\s]+)/.exec(hashes)?.[1];
  return {
    blobEnd: Number(total),
    told: { generation: generation === undefined ? undefined : String(generation), md5 },
  };
}

function damaged({ address }: GcsBucket, key: string): Error {
  const where = `gs://${address.bucket}`;
  return new BlobUnavailableError(
    `blob ${key} of ${where} does not have the MD5 that is told of it`,
  );
}
