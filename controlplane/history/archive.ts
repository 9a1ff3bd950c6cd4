// The archive: ended rows as segments at the origin, each a zstd frame of lines of JSON, named by what is in it
// (core/history/segment-name.ts). Segments are only added, never changed, so any replica reads them and none
// needs to be told. Which rows go there, and when, is the archivist's business.
import { promisify } from "node:util";
import { zstdCompressSync, zstdDecompress } from "node:zlib";
import {
  type ArchiveKind,
  placeOfRow,
  SEGMENT_BYTES_MAX,
} from "../../core/history/archive-plan.ts";
import { dayOf } from "../../core/history/calendar.ts";
import type { Placed } from "../../core/history/newest-first.ts";
import {
  dayOfKey,
  dayPrefix,
  HISTORY_PREFIX,
  parseSegment,
  type SegmentName,
  segmentKey,
} from "../../core/history/segment-name.ts";
import { timeOfId } from "../../core/history/timed-id.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { digestOf } from "../../runtime/release/piece-codec.ts";

/** Segments that are kept as read: 16 of 1 MiB of text. */
const KEPT_MAX = 16;
/** A segment with one row, of any size that the store takes, and the line around it. */
const PLAIN_BYTES_MAX = SEGMENT_BYTES_MAX + 64 * 1024;
const DIGEST_DIGITS = 32;
const SECOND_MS = 1_000;

const decompress = promisify(zstdDecompress);

/** A row on its way into the archive. */
export interface RowToArchive {
  readonly id: string;
  readonly createdAtMs: number;
  /** Its line, from lineOf. */
  readonly line: string;
}

/** A row as the archive has it. */
export interface ArchivedRow extends Placed {
  /** The row's JSON, as it was in the store. */
  readonly json: unknown;
}

/** A row as a line: `text` is its JSON in the store, `revision` the store's when it was written. */
export function lineOf(
  row: { readonly id: string; readonly createdAtMs: number },
  revision: number,
  text: string,
): string {
  return `{"place":"${placeOfRow(row)}","revision":${revision},"row":${text}}\n`;
}

/** The archive of one origin. */
export class Archive {
  readonly #origin: BlobStore;
  readonly #kept = new Map<string, Promise<readonly ArchivedRow[]>>();

  constructor(origin: BlobStore) {
    this.#origin = origin;
  }

  /**
   * Stores rows, all of one day and in the order of time, as a segment, and reads it back: when it resolves they
   * are there to stay. Rejects where what is read is not what was to be stored. A repeat stores nothing.
   */
  async add(kind: ArchiveKind, rows: readonly RowToArchive[]): Promise<SegmentName> {
    const [first, last] = [rows[0], rows.at(-1)];
    if (first === undefined || last === undefined) throw new Error("a segment of no rows");
    const plain = Buffer.from(rows.map(({ line }) => line).join(""));
    const madeAt = { first: first.createdAtMs, last: last.createdAtMs };
    const segment = parseSegment(segmentKey(kind, madeAt, nameOf(plain)));
    if (segment === undefined) throw new Error("a segment's own name cannot be read");
    await this.#origin.put(segment.key, zstdCompressSync(plain));
    await this.#plain(segment);
    return segment;
  }

  /** A build or rollout by its id, as it was last archived; undefined: it was not. */
  async find(kind: ArchiveKind, id: string): Promise<ArchivedRow | undefined> {
    const madeAtMs = timeOfId(id);
    let found: ArchivedRow | undefined;
    for (const segment of await this.#list(dayPrefix(dayOf(madeAtMs), kind))) {
      const mayHaveIt = segment.lastMs >= madeAtMs && segment.firstMs < madeAtMs + SECOND_MS;
      if (!mayHaveIt) continue;
      for (const row of await this.read(segment)) {
        if (!row.place.endsWith(`-${id}`)) continue;
        if (found === undefined || found.revision < row.revision) found = row;
      }
    }
    return found;
  }

  /** The segments of a day. */
  segments(day: string): Promise<SegmentName[]> {
    return this.#list(dayPrefix(day));
  }

  /** The first day that has any; undefined: there are none. */
  async firstDay(): Promise<string | undefined> {
    const page = await this.#origin.list(HISTORY_PREFIX, { limit: 1 });
    return page.blobs[0] && dayOfKey(page.blobs[0].key);
  }

  /** The rows of a segment, in the order of time; rejects where it is damaged or gone. */
  read(segment: SegmentName): Promise<readonly ArchivedRow[]> {
    const { key } = segment;
    const rows = this.#kept.get(key) ?? this.#rows(segment);
    // Kept in the order of use: the one used longest ago is forgotten first.
    this.#kept.delete(key);
    this.#kept.set(key, rows);
    rows.catch(() => this.#kept.delete(key));
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT_MAX && oldest !== undefined) this.#kept.delete(oldest);
    return rows;
  }

  async #list(prefix: string): Promise<SegmentName[]> {
    const segments: SegmentName[] = [];
    let after: string | undefined;
    for (;;) {
      const page = await this.#origin.list(prefix, after === undefined ? {} : { after });
      for (const { key } of page.blobs) {
        const segment = parseSegment(key);
        if (segment !== undefined) segments.push(segment);
      }
      after = page.blobs.at(-1)?.key;
      if (!page.more || after === undefined) return segments;
    }
  }

  async #rows(segment: SegmentName): Promise<readonly ArchivedRow[]> {
    const lines = (await this.#plain(segment)).toString().trimEnd().split("\n");
    return lines.map((line) => {
      const { place, revision, row } = JSON.parse(line) as {
        readonly place: string;
        readonly revision: number;
        readonly row: unknown;
      };
      return { place, revision, json: row };
    });
  }

  /** The bytes as its name has their digest. */
  async #plain({ key, digest }: SegmentName): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for await (const part of this.#origin.get(key)) parts.push(part);
    const limit = { maxOutputLength: PLAIN_BYTES_MAX };
    const plain = await decompress(Buffer.concat(parts), limit).catch((cause: unknown) => {
      throw new Error(damaged(key), { cause });
    });
    if (nameOf(plain) !== digest) throw new Error(damaged(key));
    return plain;
  }
}

function nameOf(plain: Uint8Array): string {
  return Buffer.from(digestOf(plain)).toString("hex").slice(0, DIGEST_DIGITS);
}

function damaged(key: string): string {
  return `segment ${key} of the archive is damaged: put it back from a copy, or delete it`;
}
