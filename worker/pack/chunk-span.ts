// Cuts one span of the output into chunks and hashes them. Runs on a thread, reads each byte once
// into one buffer, and gives back 36 bytes a chunk.
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { join } from "node:path";
import { chunkEnd } from "../../core/release/chunker.ts";
import { CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, DIGEST_BYTES } from "../../core/release/limits.ts";
import { readBytes } from "../../runtime/file-bytes.ts";
import { digestOf } from "../../runtime/release/piece-codec.ts";
import { EntryFileReader } from "./entry-file.ts";
import { changed, unreadable } from "./pack-error.ts";
import type { Span } from "./walk-tree.ts";

/** Window over a file: small enough for the cache, and a tail of one chunk is moved once in 4. */
const WINDOW_BYTES = 1024 * 1024;

/** Chunks of a span. */
export interface SpanChunks {
  /** 32 bytes a chunk, back to back. */
  readonly digests: Uint8Array;
  readonly sizes: Uint32Array;
  /** Chunks of each entry of the span. */
  readonly counts: Uint32Array;
  /** Where each entry's record begins in the entry file. */
  readonly places: Float64Array;
}

const window = Buffer.allocUnsafeSlow(WINDOW_BYTES);

/** Chunks the span; throws PackError when a file is not what was walked. */
export function chunkSpan(span: Span, root: string, entryFile: string): SpanChunks {
  const entries = new EntryFileReader(entryFile);
  const rows = new Rows(Math.ceil(span.bytes / CHUNK_BYTES_MIN) + span.entries);
  const counts = new Uint32Array(span.entries);
  const places = new Float64Array(span.entries);
  try {
    let place = span.place;
    for (let i = 0; i < span.entries; i += 1) {
      const { entry, next } = entries.read(place);
      places[i] = place;
      place = next;
      if (entry.kind !== "file" || entry.size === 0) continue;
      const before = rows.count;
      const bytes = span.entries === 1 ? span.bytes : entry.size;
      withFile(root, entry.path, entry.size, (file) => {
        chunkRange(file, entry.path, span.offset, bytes, rows);
      });
      counts[i] = rows.count - before;
    }
  } finally {
    entries.close();
  }
  return { ...rows.taken(), counts, places };
}

/** Opens a file of the output, without following a link, and checks its size. */
export function withFile(
  root: string,
  path: string,
  size: number,
  use: (file: number) => void,
): void {
  let file: number;
  try {
    file = openSync(join(root, path), constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    if (fstatSync(file).size !== size) throw changed(path);
    use(file);
  } finally {
    closeSync(file);
  }
}

/** Fills the target from the offset; throws PackError when the file ends before. */
export function readRange(file: number, path: string, target: Uint8Array, offset: number): void {
  if (readBytes(file, target, offset) < target.length) throw changed(path);
}

function chunkRange(file: number, path: string, offset: number, bytes: number, rows: Rows): void {
  let filled = 0;
  let read = 0;
  while (read < bytes || filled > 0) {
    const more = Math.min(WINDOW_BYTES - filled, bytes - read);
    readRange(file, path, window.subarray(filled, filled + more), offset + read);
    filled += more;
    read += more;
    let start = 0;
    // A chunk may be cut where the longest one fits, or where nothing follows.
    while (filled - start >= CHUNK_BYTES_MAX || (read === bytes && start < filled)) {
      const end = chunkEnd(window, start, filled);
      rows.add(window.subarray(start, end));
      start = end;
    }
    window.copyWithin(0, start, filled);
    filled -= start;
  }
}

class Rows {
  readonly #digests: Uint8Array;
  readonly #sizes: Uint32Array;
  count = 0;

  constructor(countMax: number) {
    this.#digests = new Uint8Array(countMax * DIGEST_BYTES);
    this.#sizes = new Uint32Array(countMax);
  }

  add(chunk: Uint8Array): void {
    this.#digests.set(digestOf(chunk), this.count * DIGEST_BYTES);
    this.#sizes[this.count] = chunk.length;
    this.count += 1;
  }

  taken(): Pick<SpanChunks, "digests" | "sizes"> {
    return {
      digests: this.#digests.slice(0, this.count * DIGEST_BYTES),
      sizes: this.#sizes.slice(0, this.count),
    };
  }
}
