// Puts a release's files together, in the order of its manifest: each chunk from an installed release
// where it is there, else from its piece, waiting for the piece where it has not come yet. Every chunk
// is compared with its digest. Holds a frame of the manifest, a few pieces, and a run of bytes.
import { setImmediate as yieldTurn } from "node:timers/promises";
import { placeFits } from "../../core/release/layout-row.ts";
import { CHUNK_BYTES_MAX, DIGEST_BYTES } from "../../core/release/limits.ts";
import { WireError } from "../../core/release/wire-error.ts";
import { digestOf } from "../../runtime/release/piece-codec.ts";
import { type ReleasePart, walkRelease } from "../../runtime/release/walk-release.ts";
import type { InstalledChunks } from "./installed-chunks.ts";
import type { PieceReader, ReadablePack } from "./piece-reader.ts";
import type { TreeWriter } from "./tree-writer.ts";

/** Chunks from installed files are gathered up to here and written at once. */
const RUN_BYTES = 4 * CHUNK_BYTES_MAX;
/** Longest stretch of work between two turns of the event loop, so that peers are served. */
const STRETCH_MS = 15;

export interface Assembly {
  readonly manifest: string;
  readonly layout: string;
  readonly packs: readonly ReadablePack[];
  readonly reader: PieceReader;
  readonly base: InstalledChunks | undefined;
  readonly writer: TreeWriter;
  readonly signal: AbortSignal;
  /** Plain bytes written so far; called after each file or part of a large one. */
  readonly progressed: (plainBytes: number) => void;
  /** Plain bytes of a chunk that was found here. */
  readonly foundLocally: (plainBytes: number) => void;
}

/** Writes the whole release; throws WireError where the release itself is wrong. */
export async function assemble(assembly: Assembly): Promise<void> {
  const { manifest, layout, packs, writer, signal } = assembly;
  const run = new Run(writer);
  let stretchEndsAt = performance.now() + STRETCH_MS;
  for await (const parts of walkRelease(manifest, layout, packs.length)) {
    for (const part of parts) {
      if (part.first) writer.begin(part.entry);
      await writePart(assembly, run, part);
      const flushed = run.flush();
      if (flushed !== undefined) await flushed;
      if (part.last) writer.end();
      if (performance.now() < stretchEndsAt) continue;
      await yieldTurn();
      signal.throwIfAborted();
      stretchEndsAt = performance.now() + STRETCH_MS;
    }
  }
}

async function writePart(assembly: Assembly, run: Run, part: ReleasePart): Promise<void> {
  const { base, reader, packs } = assembly;
  let bytes = 0;
  for (let i = 0; i < part.sizes.length; i += 1) {
    const size = part.sizes[i] as number;
    const at = i * DIGEST_BYTES;
    bytes += size;
    if (base?.has(part.digests, at)) {
      const room = run.room(size);
      if (room !== undefined) await room;
      if (base.read(part.digests, at, run.space(size))) {
        run.take(size);
        assembly.foundLocally(size);
        continue;
      }
    }
    const place = part.places[i] as (typeof part.places)[number];
    const { table, pack } = packs[place.pack] as ReadablePack;
    const where = `pack ${pack.pack} piece ${place.piece}`;
    if (!placeFits(place, size, table)) throw new WireError("holds no such chunk", where);
    let plain = reader.kept(place.pack, place.piece);
    if (plain === undefined) {
      const flushed = run.flush();
      if (flushed !== undefined) await flushed;
      plain = await reader.load(place.pack, place.piece);
    }
    const chunk = plain.subarray(place.offset, place.offset + size);
    if (Buffer.compare(digestOf(chunk), part.digests.subarray(at, at + DIGEST_BYTES)) !== 0) {
      throw new WireError(`has another chunk at ${place.offset} than the manifest says`, where);
    }
    const written = run.append(plain, place.offset, size);
    if (written !== undefined) await written;
  }
  assembly.progressed(bytes);
}

/** Bytes that lie together and are written at once. */
class Run {
  readonly #writer: TreeWriter;
  /** For chunks read from files. */
  readonly #own = Buffer.allocUnsafeSlow(RUN_BYTES);
  #source: Uint8Array | undefined;
  #start = 0;
  #end = 0;

  constructor(writer: TreeWriter) {
    this.#writer = writer;
  }

  /** Adds bytes of a buffer; writes what was there unless they follow it. */
  append(source: Uint8Array, offset: number, bytes: number): Promise<void> | undefined {
    if (this.#source === source && this.#end === offset) {
      this.#end += bytes;
      return undefined;
    }
    const written = this.flush();
    this.#source = source;
    this.#start = offset;
    this.#end = offset + bytes;
    return written;
  }

  /** Makes sure that `space` gives so many bytes. */
  room(bytes: number): Promise<void> | undefined {
    if (this.#source === this.#own && this.#end + bytes <= this.#own.length) return undefined;
    const written = this.flush();
    this.#source = this.#own;
    this.#start = 0;
    this.#end = 0;
    return written;
  }

  /** Where the next bytes read from a file go. */
  space(bytes: number): Buffer {
    return this.#own.subarray(this.#end, this.#end + bytes);
  }

  /** They are there. */
  take(bytes: number): void {
    this.#end += bytes;
  }

  flush(): Promise<void> | undefined {
    const source = this.#source;
    const from = this.#start;
    const to = this.#end;
    this.#source = undefined;
    this.#start = 0;
    this.#end = 0;
    if (source === undefined || from === to) return undefined;
    return this.#writer.write(source.subarray(from, to));
  }
}
