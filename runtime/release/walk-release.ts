// Reads manifest and layout side by side: every file of a release with, for each of its chunks, what
// it is and where it lies. What an agent stages by, and a worker finds known chunks with. It holds a
// frame of the manifest and its places, whatever the size of the release.
import type { ChunkPlace } from "../../core/release/layout-row.ts";
import { WireError } from "../../core/release/wire-error.ts";
import { LayoutReader } from "./layout-file.ts";
import type { ManifestPart } from "./manifest-reader.ts";
import { readManifest } from "./manifest-reader.ts";

/** An entry, or a part of a large one; `places[i]` is where the chunk of `sizes[i]` lies. */
export interface ReleasePart extends ManifestPart {
  readonly places: readonly ChunkPlace[];
}

/**
 * Yields the release a manifest frame at a time. Throws WireError at the first thing wrong, also for
 * a place in a pack beyond `packs`. Whether places fit their pieces, ask `placeFits`.
 */
export async function* walkRelease(
  manifestPath: string,
  layoutPath: string,
  packs: number,
): AsyncGenerator<ReleasePart[]> {
  const layout = await LayoutReader.open(layoutPath);
  try {
    for await (const parts of readManifest(manifestPath)) {
      const places = await layout.next(parts.reduce((rows, part) => rows + part.sizes.length, 0));
      const beyond = places.find((place) => place.pack >= packs);
      if (beyond !== undefined) {
        throw new WireError(`a place in pack ${beyond.pack}`, layoutPath, packs - 1);
      }
      let row = 0;
      yield parts.map((part) => {
        const first = row;
        row += part.sizes.length;
        return { ...part, places: places.slice(first, row) };
      });
    }
    layout.end();
  } finally {
    await layout.close();
  }
}
