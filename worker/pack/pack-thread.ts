// What a thread of the packer does: one task at a time, results moved rather than copied. A refusal of
// the output is a value here, as error classes do not survive the way between threads.
import { chunkSpan } from "./chunk-span.ts";
import type { DataPieceTask, MadePiece, MetaPieceTask } from "./make-piece.ts";
import { makeDataPiece, makeMetaPiece } from "./make-piece.ts";
import { moved } from "./moved.ts";
import type { PackFault } from "./pack-error.ts";
import { PackError } from "./pack-error.ts";
import type { Span } from "./walk-tree.ts";
import { walkTree } from "./walk-tree.ts";

/** zstd level of pieces: 3 makes a mixed output 6 % smaller and a pack take 1.2 times as long. */
const LEVEL = 1;

/** A task of the packer. */
export type PackTask =
  | { readonly kind: "walk"; readonly output: string; readonly entryFile: string }
  | {
      readonly kind: "chunk";
      readonly span: Span;
      readonly root: string;
      readonly entryFile: string;
    }
  | { readonly kind: "data-piece"; readonly piece: DataPieceTask }
  | { readonly kind: "meta-piece"; readonly piece: MetaPieceTask };

/** What became of it. */
export type PackOutcome =
  | { readonly done: true; readonly result: unknown }
  | { readonly done: false; readonly fault: PackFault; readonly message: string };

/** Performs a task; called by piscina. */
export default function perform(task: PackTask): unknown {
  try {
    return run(task);
  } catch (error) {
    if (!(error instanceof PackError)) throw error;
    return { done: false, fault: error.fault, message: error.message } satisfies PackOutcome;
  }
}

function run(task: PackTask): unknown {
  switch (task.kind) {
    case "walk":
      return done(walkTree(task.output, task.entryFile), []);
    case "chunk": {
      const chunks = chunkSpan(task.span, task.root, task.entryFile);
      const { digests, sizes, counts, places } = chunks;
      return done(chunks, [digests.buffer, sizes.buffer, counts.buffer, places.buffer]);
    }
    case "data-piece":
      return donePiece(makeDataPiece(task.piece, LEVEL));
    case "meta-piece":
      return donePiece(makeMetaPiece(task.piece, LEVEL));
    default:
      task satisfies never;
      return undefined;
  }
}

function donePiece(piece: MadePiece): PackOutcome {
  const { encoded, memory } = piece;
  return done(piece, [...new Set([memory, encoded.buffer])]);
}

function done(result: unknown, buffers: readonly ArrayBufferLike[]): PackOutcome {
  return moved<PackOutcome>({ done: true, result }, buffers);
}
