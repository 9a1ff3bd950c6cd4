// The packer's pool of threads, typed. One pool a pack: it ends with it, and gives all memory back.
import { FixedQueue, Piscina } from "piscina";
import { moduleUrl } from "../../runtime/module-url.ts";
import type { SpanChunks } from "./chunk-span.ts";
import type { DataPieceTask, MadePiece, MetaPieceTask } from "./make-piece.ts";
import { moved } from "./moved.ts";
import { PackError } from "./pack-error.ts";
import type { PackOutcome, PackTask } from "./pack-thread.ts";
import type { Span, Tree } from "./walk-tree.ts";

/** Runs tasks in the order in which they are given, `threads` at a time. */
export class PackThreads {
  readonly #pool: Piscina<PackTask, PackOutcome>;
  readonly #signal: AbortSignal;

  constructor(threads: number, signal: AbortSignal) {
    this.#signal = signal;
    this.#pool = new Piscina({
      filename: moduleUrl("./pack-thread.ts", import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
      // The default queue is one for all pools of the process.
      taskQueue: new FixedQueue(),
      // Waiting on atomics, a thread would never turn its event loop, which frees native buffers.
      atomics: "disabled",
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
      recordTiming: false,
      // A thread that is ended while it requires a module takes Node 26 down with it ("facade->
      // InstantiateModule"); where it may not require one, piscina imports it, which can be ended.
      execArgv: ["--no-require-module"],
    });
  }

  walk(output: string, entryFile: string): Promise<Tree> {
    return this.#run({ kind: "walk", output, entryFile });
  }

  chunk(span: Span, root: string, entryFile: string): Promise<SpanChunks> {
    return this.#run({ kind: "chunk", span, root, entryFile });
  }

  /** The task's memory is the thread's until the piece comes back with it. */
  dataPiece(piece: DataPieceTask): Promise<MadePiece> {
    return this.#run(moved({ kind: "data-piece", piece }, [piece.memory]));
  }

  /** The task's memory is the thread's until the piece comes back with it. */
  metaPiece(piece: MetaPieceTask): Promise<MadePiece> {
    return this.#run(moved({ kind: "meta-piece", piece }, [piece.memory]));
  }

  /** Ends the threads, whatever they do. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #run<Result>(task: PackTask): Promise<Result> {
    const outcome = await this.#pool.run(task, { signal: this.#signal });
    if (outcome.done) return outcome.result as Result;
    throw new PackError(outcome.fault, outcome.message);
  }
}
