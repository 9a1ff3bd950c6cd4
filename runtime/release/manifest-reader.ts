// Reads a manifest file frame by frame and believes nothing: sizes, order, paths, counts and totals
// are checked as they come, so that what it yields is safe to unpack. It does not check the file's
// digest (whoever wrote the file did), and holds one frame of 256 KiB at most.
import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import type { ReleaseEntry, ReleaseTotals } from "../../core/release/entry.ts";
import { entryFault, totalsFault } from "../../core/release/entry.ts";
import {
  CHUNK_BYTES_MAX,
  CHUNKS_MAX,
  DIGEST_BYTES,
  ENTRIES_MAX,
  FRAME_BYTES_MAX,
  MANIFEST_BYTES_MAX,
} from "../../core/release/limits.ts";
import { PathOrder } from "../../core/release/path-rules.ts";
import { WireError } from "../../core/release/wire-error.ts";
import type { ManifestEntry } from "../../proto/gen/millrace/v1/release_format.ts";
import { EntryKind, ManifestSegment } from "../../proto/gen/millrace/v1/release_format.ts";
import { MANIFEST_FORMAT } from "./manifest-writer.ts";

/** An entry with some of its rows: all of them, unless the file is so large that they come in parts. */
export interface ManifestPart {
  readonly entry: ReleaseEntry;
  /** Number of the entry in the release, from 0. */
  readonly entryIndex: number;
  /** Number in the release of the first row of this part. */
  readonly firstRow: number;
  /** Where in the file the first row's chunk begins. */
  readonly offset: number;
  /** Digests of the rows, 32 bytes each, back to back. */
  readonly digests: Uint8Array;
  /** Plain bytes of the rows' chunks. */
  readonly sizes: readonly number[];
  /** True for the entry's first part. */
  readonly first: boolean;
  /** True for the entry's last part. */
  readonly last: boolean;
}

/** The totals in the first frame; throws WireError, naming `where`. */
export async function readManifestTotals(path: string, where = path): Promise<ReleaseTotals> {
  for await (const { segment } of readFrames(path, where)) return totalsOf(segment, where);
  throw new WireError("is empty", where);
}

/**
 * Yields the manifest a frame at a time. Throws WireError, naming `where`, at the first thing wrong;
 * what was yielded before is valid by itself, but the release as a whole is only after the end.
 */
export async function* readManifest(path: string, where = path): AsyncGenerator<ManifestPart[]> {
  let check: ManifestCheck | undefined;
  for await (const { segment, number } of readFrames(path, where)) {
    const frame = `${where} frame ${number}`;
    if (check === undefined) check = new ManifestCheck(totalsOf(segment, frame), where);
    else if (segment.header !== undefined) throw new WireError("a second header", frame);
    yield check.frame(segment, frame);
  }
  if (check === undefined) throw new WireError("is empty", where);
  check.end();
}

interface Frame {
  readonly segment: ManifestSegment;
  readonly number: number;
}

async function* readFrames(path: string, where: string): AsyncGenerator<Frame> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    if (size > MANIFEST_BYTES_MAX) throw new WireError(`${size} bytes`, where, MANIFEST_BYTES_MAX);
    const buffer = Buffer.allocUnsafe(FRAME_BYTES_MAX);
    let at = 0;
    for (let number = 0; at < size; number += 1) {
      const place = `${where} frame ${number}`;
      await readFully(file, buffer.subarray(0, 4), at, place);
      const length = buffer.readUInt32LE();
      if (length > FRAME_BYTES_MAX) throw new WireError(`${length} bytes`, place, FRAME_BYTES_MAX);
      await readFully(file, buffer.subarray(0, length), at + 4, place);
      yield { segment: decode(buffer.subarray(0, length), place), number };
      at += 4 + length;
    }
  } finally {
    await file.close();
  }
}

async function readFully(file: FileHandle, target: Buffer, at: number, where: string) {
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await file.read(target, done, target.length - done, at + done);
    if (bytesRead === 0) throw new WireError("ends in the middle of a frame", where);
    done += bytesRead;
  }
}

function decode(bytes: Buffer, where: string): ManifestSegment {
  try {
    return ManifestSegment.decode(bytes);
  } catch (error) {
    throw new WireError(`is no ManifestSegment (${(error as Error).message})`, where);
  }
}

function totalsOf(segment: ManifestSegment, where: string): ReleaseTotals {
  const header = segment.header;
  if (header === undefined) throw new WireError("no header", where);
  if (header.format !== MANIFEST_FORMAT) {
    throw new WireError(`format ${header.format}, expected ${MANIFEST_FORMAT}`, where);
  }
  const { entries, bytes, chunks, singleFile } = header;
  const totals = { entries, bytes, chunks, singleFile };
  const fault = totalsFault(totals);
  if (fault !== undefined) throw new WireError(fault, where);
  return totals;
}

/** The entry that still lacks rows, how many it lacks, and the bytes it has so far. */
interface OpenEntry {
  readonly entry: ReleaseEntry;
  readonly index: number;
  missing: number;
  offset: number;
}

/** What has been seen so far, against what the header said. */
class ManifestCheck {
  readonly #totals: ReleaseTotals;
  readonly #where: string;
  readonly #order = new PathOrder();
  #entries = 0;
  #bytes = 0;
  #rows = 0;
  #open: OpenEntry | undefined;

  constructor(totals: ReleaseTotals, where: string) {
    this.#totals = totals;
    this.#where = where;
  }

  frame(segment: ManifestSegment, where: string): ManifestPart[] {
    const sizes = segment.chunkSizes;
    if (segment.chunkDigests.length !== sizes.length * DIGEST_BYTES) {
      const what = `${segment.chunkDigests.length} bytes of digests for ${sizes.length} sizes`;
      throw new WireError(what, where);
    }
    // Empty frames would let a file of 256 MiB hold 64M of them.
    if (segment.entries.length + sizes.length === 0) throw new WireError("is empty", where);
    const rows = { digests: segment.chunkDigests, sizes, taken: 0 };
    const parts: ManifestPart[] = [];
    if (this.#open !== undefined) parts.push(this.#part(rows, false, where));
    for (const raw of segment.entries) {
      if (this.#open !== undefined) {
        const what = `${JSON.stringify(this.#open.entry.path)} lacks ${this.#open.missing} rows`;
        throw new WireError(what, where);
      }
      const entry = this.#entry(raw, where);
      this.#open = { entry, index: this.#entries, missing: entry.chunkCount, offset: 0 };
      this.#entries += 1;
      parts.push(this.#part(rows, true, where));
    }
    if (rows.taken !== sizes.length) {
      throw new WireError(`${sizes.length - rows.taken} rows that belong to no entry`, where);
    }
    return parts;
  }

  end(): void {
    const { entries, bytes, chunks } = this.#totals;
    if (this.#open !== undefined) {
      throw new WireError(`ends before ${this.#open.missing} rows of its last entry`, this.#where);
    }
    if (this.#entries !== entries || this.#bytes !== bytes || this.#rows !== chunks) {
      throw new WireError(
        `holds ${this.#entries} entries, ${this.#bytes} bytes, ${this.#rows} chunks, ` +
          `but its header says ${entries}, ${bytes}, ${chunks}`,
        this.#where,
      );
    }
  }

  #entry(raw: ManifestEntry, where: string): ReleaseEntry {
    const { path, mode, size, target, chunkCount } = raw;
    const kind = kindOf(raw.kind);
    if (kind === undefined) throw new WireError(`kind ${raw.kind} is unknown`, where);
    const entry: ReleaseEntry = { path, kind, mode, size, target, chunkCount };
    const fault = entryFault(entry) ?? this.#order.next(path)?.detail;
    if (fault !== undefined) throw new WireError(fault, where);
    if (this.#totals.singleFile && kind !== "file") throw new WireError("no single file", where);
    if (this.#entries >= this.#totals.entries) {
      throw new WireError(`more than ${this.#totals.entries} entries`, where, ENTRIES_MAX);
    }
    return entry;
  }

  #part(
    rows: { readonly digests: Uint8Array; readonly sizes: number[]; taken: number },
    first: boolean,
    where: string,
  ): ManifestPart {
    const open = this.#open as OpenEntry;
    const { entry, offset } = open;
    const count = Math.min(open.missing, rows.sizes.length - rows.taken);
    const sizes = rows.sizes.slice(rows.taken, rows.taken + count);
    const digests = rows.digests.subarray(
      rows.taken * DIGEST_BYTES,
      (rows.taken + count) * DIGEST_BYTES,
    );
    const firstRow = this.#rows;
    for (const size of sizes) {
      if (size === 0 || size > CHUNK_BYTES_MAX) {
        throw new WireError(`a chunk of ${size} bytes`, where, CHUNK_BYTES_MAX);
      }
      open.offset += size;
    }
    this.#bytes += open.offset - offset;
    this.#rows += count;
    rows.taken += count;
    open.missing -= count;
    if (this.#rows > this.#totals.chunks) throw new WireError("too many rows", where, CHUNKS_MAX);
    if (open.offset > entry.size || (open.missing === 0 && open.offset !== entry.size)) {
      const what = `${JSON.stringify(entry.path)} has ${entry.size} bytes, its chunks`;
      throw new WireError(`${what} ${open.offset}`, where);
    }
    const last = open.missing === 0;
    if (last) this.#open = undefined;
    return { entry, entryIndex: open.index, firstRow, offset, digests, sizes, first, last };
  }
}

function kindOf(kind: EntryKind): ReleaseEntry["kind"] | undefined {
  switch (kind) {
    case EntryKind.ENTRY_KIND_FILE:
      return "file";
    case EntryKind.ENTRY_KIND_SYMLINK:
      return "symlink";
    case EntryKind.ENTRY_KIND_DIRECTORY:
      return "directory";
    default:
      return undefined;
  }
}
