// One entry of a release's tree and the totals of all, as they are inside Millrace, and the rules
// that hold for each by itself. Paths in sequence are path-rules.ts's.
import { CHUNKS_MAX, ENTRIES_MAX, RELEASE_BYTES_MAX } from "./limits.ts";
import { modeFault, pathFault, targetFault } from "./path-rules.ts";

/** A file, a symlink, or a directory that holds nothing. */
export interface ReleaseEntry {
  readonly path: string;
  readonly kind: "file" | "symlink" | "directory";
  /** Permission bits; 0o777 for symlinks, which have none of their own. */
  readonly mode: number;
  /** Plain bytes; 0 unless a file. */
  readonly size: number;
  /** Where a symlink points; "" for others. */
  readonly target: string;
  /** Chunk rows of a file; 0 for an empty one and for others. */
  readonly chunkCount: number;
}

/** Totals of a release, as its manifest's header says them. */
export interface ReleaseTotals {
  readonly entries: number;
  readonly bytes: number;
  readonly chunks: number;
  readonly singleFile: boolean;
}

/** What is wrong with an entry by itself, as a sentence, or undefined. */
export function entryFault(entry: ReleaseEntry): string | undefined {
  const fault = pathFault(entry.path) ?? modeFault(entry.path, entry.mode);
  if (fault !== undefined) return fault.detail;
  const shown = JSON.stringify(entry.path);
  switch (entry.kind) {
    case "file":
      if (entry.target !== "") return `${shown} is a file with a target`;
      if (entry.size > RELEASE_BYTES_MAX) {
        return `${shown} has ${entry.size} bytes, the limit is ${RELEASE_BYTES_MAX}`;
      }
      if (entry.chunkCount > entry.size || (entry.size > 0 && entry.chunkCount === 0)) {
        return `${shown} has ${entry.size} bytes in ${entry.chunkCount} chunks`;
      }
      return undefined;
    case "symlink":
    case "directory":
      if (entry.size !== 0 || entry.chunkCount !== 0) return `${shown} has bytes but is no file`;
      if (entry.kind === "symlink") return targetFault(entry.path, entry.target)?.detail;
      return entry.target === "" ? undefined : `${shown} is a directory with a target`;
    default:
      entry.kind satisfies never;
      return `${shown} is of no known kind`;
  }
}

/** Which total is over its limit, as a sentence, or undefined. */
export function totalsFault(totals: ReleaseTotals): string | undefined {
  const { entries, bytes, chunks, singleFile } = totals;
  if (entries === 0) return "holds no entry";
  if (entries > ENTRIES_MAX) return `${entries} entries, the limit is ${ENTRIES_MAX}`;
  if (bytes > RELEASE_BYTES_MAX) return `${bytes} bytes, the limit is ${RELEASE_BYTES_MAX}`;
  if (chunks > CHUNKS_MAX) return `${chunks} chunks, the limit is ${CHUNKS_MAX}`;
  if (singleFile && entries !== 1) return `a single file, but ${entries} entries`;
  return undefined;
}
