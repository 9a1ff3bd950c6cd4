// Makes one piece: reads its chunks again from the output (or a part of a meta file), compares them
// with what was hashed before, encodes and names it. Runs on a thread.
import { closeSync, openSync } from "node:fs";
import { DIGEST_BYTES } from "../../core/release/limits.ts";
import type { PieceKind, PieceRow } from "../../core/release/piece-table.ts";
import { digestOf, encodePiece } from "../../runtime/release/piece-codec.ts";
import { readRange, withFile } from "./chunk-span.ts";
import { EntryFileReader } from "./entry-file.ts";
import { changed } from "./pack-error.ts";

/** Chunks of the output that make up a data piece. */
export interface DataPieceTask {
  readonly root: string;
  readonly entryFile: string;
  /** Three numbers a run: the entry's place in the entry file, offset in the file, chunks. */
  readonly runs: Float64Array;
  readonly digests: Uint8Array;
  readonly sizes: Uint32Array;
  readonly memory: ArrayBuffer;
}

/** A part of a manifest or layout file. */
export interface MetaPieceTask {
  readonly kind: Exclude<PieceKind, "data">;
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
  readonly memory: ArrayBuffer;
}

/** A piece as it goes into a segment. */
export interface MadePiece {
  readonly encoded: Uint8Array;
  readonly row: PieceRow;
  /** What the task came with, for the next one; the encoded bytes of a stored piece lie in it. */
  readonly memory: ArrayBuffer;
}

/** Makes a data piece; throws PackError when a file is not what was hashed. */
export function makeDataPiece(task: DataPieceTask, level: number): MadePiece {
  const plainBytes = task.sizes.reduce((sum, size) => sum + size, 0);
  const plain = Buffer.from(task.memory, 0, plainBytes);
  const entries = new EntryFileReader(task.entryFile);
  try {
    let row = 0;
    let at = 0;
    for (let run = 0; run < task.runs.length; run += 3) {
      const { entry } = entries.read(task.runs[run] as number);
      const offset = task.runs[run + 1] as number;
      const chunks = task.sizes.subarray(row, row + (task.runs[run + 2] as number));
      const bytes = chunks.reduce((sum, size) => sum + size, 0);
      const part = plain.subarray(at, at + bytes);
      withFile(task.root, entry.path, entry.size, (file) => {
        readRange(file, entry.path, part, offset);
      });
      verify(part, chunks, task.digests, row, entry.path);
      row += chunks.length;
      at += bytes;
    }
  } finally {
    entries.close();
  }
  return made(plain, task.memory, "data", level);
}

/** Makes a meta piece. */
export function makeMetaPiece(task: MetaPieceTask, level: number): MadePiece {
  const plain = Buffer.from(task.memory, 0, task.bytes);
  const file = openSync(task.path, "r");
  try {
    readRange(file, task.path, plain, task.offset);
  } finally {
    closeSync(file);
  }
  return made(plain, task.memory, task.kind, level);
}

function verify(
  bytes: Buffer,
  sizes: Uint32Array,
  digests: Uint8Array,
  firstRow: number,
  path: string,
): void {
  let at = 0;
  let row = firstRow;
  for (const size of sizes) {
    const digest = digests.subarray(row * DIGEST_BYTES, (row + 1) * DIGEST_BYTES);
    const same = Buffer.compare(digestOf(bytes.subarray(at, at + size)), digest) === 0;
    if (!same) throw changed(path);
    at += size;
    row += 1;
  }
}

function made(plain: Buffer, memory: ArrayBuffer, kind: PieceKind, level: number): MadePiece {
  const { encoded, codec } = encodePiece(plain, level);
  const digest = new Uint8Array(digestOf(encoded));
  const row = { digest, encodedBytes: encoded.length, plainBytes: plain.length, kind, codec };
  return { encoded, row, memory };
}
