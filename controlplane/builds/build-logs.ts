// Logs of attempts as blobs at the origin, each named by the offset it begins at. What the blobs say is
// the log: a restarted control plane lists them and goes on, and so does one that finds that a worker has told
// another replica more. A repeated append changes nothing.
import { status } from "@grpc/grpc-js";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { failedPrecondition, invalid, RpcError } from "../../runtime/grpc/rpc-error.ts";

/** Bytes of one append: half of a message, and a segment is one append. */
export const APPEND_BYTES_MAX = 128 * 1024;
/** Bytes of one read. */
const TAIL_BYTES_MAX = 64 * 1024;
/** Bytes of one attempt's log: a build that prints 1 MB/s for 15 min has 0.9 GB. */
const LOG_BYTES_MAX = 1 << 30;
const OFFSET_DIGITS = 12;
/** Logs whose segments are remembered: 100 running builds and who reads old ones. */
const LOGS_KEPT_MAX = 256;

interface Segment {
  readonly offset: number;
  readonly bytes: number;
}

interface KeptLog {
  readonly segments: Segment[];
  length: number;
  /** Appends of one log go one after the other. */
  turn: Promise<unknown>;
}

/** The logs of all builds. */
export class BuildLogs {
  readonly #origin: BlobStore;
  readonly #kept = new Map<string, Promise<KeptLog>>();

  constructor(origin: BlobStore) {
    this.#origin = origin;
  }

  /** Bytes of the log of an attempt, whichever replicas took it; 0 where it has none. */
  async length(build: string, attempt: number): Promise<number> {
    const log = await this.#log(build, attempt);
    await this.#inTurn(log, () => this.#extend(log, build, attempt));
    return log.length;
  }

  /**
   * Appends and returns the new length. A repeat is passed over; RpcError where bytes are missing before
   * `offset` or a limit is exceeded.
   */
  async append(build: string, attempt: number, offset: number, data: Uint8Array): Promise<number> {
    if (data.length > APPEND_BYTES_MAX) {
      throw invalid(`log append of ${data.length} bytes, the limit is ${APPEND_BYTES_MAX}`);
    }
    const log = await this.#log(build, attempt);
    return await this.#inTurn(log, () => this.#store(log, build, attempt, offset, data));
  }

  /** What there is from `offset` on, in runs of at most TAIL_BYTES_MAX; `lengthMin` bytes are known to be there. */
  async *read(
    build: string,
    attempt: number,
    offset: number,
    lengthMin: number,
  ): AsyncGenerator<{ readonly offset: number; readonly data: Buffer }, void, void> {
    const log = await this.#log(build, attempt);
    if (log.length < lengthMin) await this.length(build, attempt);
    let at = offset;
    for (let index = indexAt(log.segments, at); index < log.segments.length; index += 1) {
      const segment = log.segments[index]!;
      const end = segment.offset + segment.bytes;
      while (at < end) {
        const data = Buffer.alloc(Math.min(TAIL_BYTES_MAX, end - at));
        const key = segmentKey(build, attempt, segment.offset);
        const count = await this.#origin.read(key, at - segment.offset, data);
        if (count === 0) throw new Error(`log segment ${key} is shorter than it was`);
        yield { offset: at, data: data.subarray(0, count) };
        at += count;
      }
    }
  }

  async #inTurn<Result>(log: KeptLog, work: () => Promise<Result>): Promise<Result> {
    const result = log.turn.then(work);
    log.turn = result.catch(() => {});
    return await result;
  }

  async #store(
    log: KeptLog,
    build: string,
    attempt: number,
    offset: number,
    data: Uint8Array,
  ): Promise<number> {
    if (offset > log.length) await this.#extend(log, build, attempt);
    if (offset > log.length) {
      throw failedPrecondition(
        `log append at ${offset}, but the log of ${build} attempt ${attempt} has ${log.length} bytes`,
      );
    }
    const fresh = data.subarray(log.length - offset);
    if (fresh.length === 0) return log.length;
    if (log.length + fresh.length > LOG_BYTES_MAX) {
      const message = `log of ${build} attempt ${attempt}: the limit is ${LOG_BYTES_MAX} bytes`;
      throw new RpcError(status.RESOURCE_EXHAUSTED, message);
    }
    const segment = { offset: log.length, bytes: fresh.length };
    const put = await this.#origin.put(segmentKey(build, attempt, segment.offset), fresh);
    if (put === "present") {
      // Another replica has taken these bytes, or the beginning of them.
      await this.#extend(log, build, attempt);
      return this.#store(log, build, attempt, offset, data);
    }
    log.segments.push(segment);
    log.length += segment.bytes;
    return log.length;
  }

  #log(build: string, attempt: number): Promise<KeptLog> {
    const name = `${build}/${attempt}`;
    const kept = this.#kept.get(name);
    if (kept !== undefined) {
      // Kept in the order of use: the one used longest ago is forgotten first.
      this.#kept.delete(name);
      this.#kept.set(name, kept);
      return kept;
    }
    const loading = this.#load(build, attempt);
    this.#kept.set(name, loading);
    loading.catch(() => this.#kept.delete(name));
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > LOGS_KEPT_MAX && oldest !== undefined) this.#kept.delete(oldest);
    return loading;
  }

  async #load(build: string, attempt: number): Promise<KeptLog> {
    const log: KeptLog = { segments: [], length: 0, turn: Promise.resolve() };
    await this.#extend(log, build, attempt);
    return log;
  }

  /** Lists what has come since. */
  async #extend(log: KeptLog, build: string, attempt: number): Promise<void> {
    const prefix = logPrefix(build, attempt);
    for (;;) {
      const last = log.segments.at(-1);
      const after = last && { after: segmentKey(build, attempt, last.offset) };
      const page = await this.#origin.list(prefix, after ?? {});
      for (const { key, bytes } of page.blobs) {
        const offset = Number(key.slice(prefix.length));
        if (offset !== log.length) throw new Error(`log ${prefix} has a gap at ${log.length}`);
        log.segments.push({ offset, bytes });
        log.length += bytes;
      }
      if (!page.more) return;
    }
  }
}

function logPrefix(build: string, attempt: number): string {
  return `logs/${build}/${attempt}/`;
}

function segmentKey(build: string, attempt: number, offset: number): string {
  return `${logPrefix(build, attempt)}${String(offset).padStart(OFFSET_DIGITS, "0")}`;
}

/** Index of the segment that holds the byte; the number of segments where none does. */
function indexAt(segments: readonly Segment[], offset: number): number {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const segment = segments[middle]!;
    if (segment.offset + segment.bytes <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
