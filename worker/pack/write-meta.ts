// Writes the manifest and the layout of a packed output to scratch files, front to back, once all
// chunks and their places are known. Lets the event loop run now and then, as a million entries take
// some seconds.
import { setImmediate } from "node:timers/promises";
import type { ChunkPlace } from "../../core/release/layout-row.ts";
import { LayoutWriter } from "../../runtime/release/layout-file.ts";
import { ManifestWriter } from "../../runtime/release/manifest-writer.ts";
import type { ChunkRows } from "./chunk-rows.ts";
import { EntryFileReader } from "./entry-file.ts";
import type { Tree } from "./walk-tree.ts";

/** Entries or rows between two turns of the event loop: about 5 ms. */
const TURN_STEPS = 4096;

/** A file that was written: what an extent says of it. */
export interface MetaFile {
  readonly path: string;
  readonly digest: Uint8Array;
  readonly bytes: number;
}

export interface MetaInput {
  readonly tree: Tree;
  readonly entryFile: string;
  readonly rows: ChunkRows;
  /** Chunk rows of each entry. */
  readonly counts: Uint32Array;
  /** Turns the pack of a row's place into its index in the layout's list. */
  readonly listed: (pack: number) => number;
  readonly manifestPath: string;
  readonly layoutPath: string;
}

/** Writes both files. */
export async function writeMeta(
  input: MetaInput,
): Promise<{ readonly manifest: MetaFile; readonly layout: MetaFile }> {
  const { tree, rows, counts, listed, manifestPath, layoutPath } = input;
  const { entries, bytes, singleFile } = tree;
  const totals = { entries, bytes, chunks: rows.count, singleFile };
  const manifest = new ManifestWriter(manifestPath, totals);
  const layout = new LayoutWriter(layoutPath);
  const reader = new EntryFileReader(input.entryFile);
  try {
    let place = 0;
    let row = 0;
    let steps = 0;
    for (let index = 0; index < entries; index += 1) {
      const { entry, next } = reader.read(place);
      place = next;
      const chunkCount = counts[index] as number;
      manifest.entry({ ...entry, chunkCount });
      for (const end = row + chunkCount; row < end; row += 1) {
        manifest.row(rows.digest(row), rows.size(row));
        const at: ChunkPlace = rows.place(row);
        layout.row({ ...at, pack: listed(at.pack) });
        if (++steps % TURN_STEPS === 0) await setImmediate();
      }
      if (++steps % TURN_STEPS === 0) await setImmediate();
    }
    return {
      manifest: { path: manifestPath, ...manifest.finish() },
      layout: { path: layoutPath, ...layout.finish() },
    };
  } catch (error) {
    manifest.close();
    layout.close();
    throw error;
  } finally {
    reader.close();
  }
}
