// Recognises a release that is one file lying in one pack as it is: stored pieces, back to back, in
// order. Then the pieces on this disk are the file already, and need no second copy (decision 0008).
import type { ReleaseEntry } from "../../core/release/entry.ts";
import { walkRelease } from "../../runtime/release/walk-release.ts";
import type { ReadablePack } from "./piece-reader.ts";

export interface WholeFile {
  readonly entry: ReleaseEntry;
  readonly packIndex: number;
  /** Every piece of data of that pack. */
  readonly pieces: readonly number[];
}

/** The file, or undefined where the release is anything else. Reads manifest and layout once. */
export async function findWholeFile(
  manifest: string,
  layout: string,
  packs: readonly ReadablePack[],
): Promise<WholeFile | undefined> {
  let entry: ReleaseEntry | undefined;
  let packIndex = -1;
  let stream: DataStream | undefined;
  let end = 0;
  for await (const parts of walkRelease(manifest, layout, packs.length)) {
    for (const part of parts) {
      if (part.entry.kind !== "file") return undefined;
      entry ??= part.entry;
      if (part.entryIndex !== 0) return undefined;
      for (const [i, place] of part.places.entries()) {
        if (stream === undefined) {
          packIndex = place.pack;
          stream = dataStream((packs[packIndex] as ReadablePack).table);
        }
        if (place.pack !== packIndex || stream === undefined) return undefined;
        if ((stream.starts[place.piece] ?? -1) + place.offset !== end) return undefined;
        end += part.sizes[i] as number;
      }
    }
  }
  if (entry === undefined || stream === undefined || stream.bytes !== end) return undefined;
  return { entry, packIndex, pieces: stream.pieces };
}

interface DataStream {
  readonly starts: readonly number[];
  readonly pieces: readonly number[];
  readonly bytes: number;
}

/** Where each piece of data begins among the data; undefined where one is not stored plain. */
function dataStream(table: ReadablePack["table"]): DataStream | undefined {
  const starts: number[] = [];
  const pieces: number[] = [];
  let bytes = 0;
  for (let piece = 0; piece < table.count; piece += 1) {
    const { kind, codec } = table.row(piece);
    if (kind !== "data") continue;
    if (codec !== "stored") return undefined;
    starts[piece] = bytes;
    pieces.push(piece);
    bytes += table.plainBytes(piece);
  }
  return { starts, pieces, bytes };
}
