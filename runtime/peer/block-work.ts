// Blocks between the store and the connections of one swarm: written as they come, read as they go,
// pieces compared. Each piece of work ends in one fact for the machine. When the store fails it says
// so once, and keeps what has to be tried again.
import type { SwarmInput } from "../../core/swarm/facts.ts";
import type { Block, PeerId } from "../../core/swarm/message.ts";
import type { Connection } from "./connection.ts";
import { isStoreFull, type PieceStore, RottenPieceError } from "./piece-store.ts";
import { settle } from "./settle.ts";
import type { SwarmFailure, SwarmLog } from "./swarm.ts";

export interface BlockWorkOptions {
  readonly pack: string;
  readonly store: PieceStore;
  readonly log: SwarmLog;
  readonly input: (fact: SwarmInput) => void;
  /** A piece is whole. */
  readonly verified: (piece: number) => void;
  /** A piece has rotted, and the store has it no more. */
  readonly lost: (piece: number) => void;
  /** The store has failed, for the first time since `resume`. */
  readonly failed: (failure: SwarmFailure) => void;
}

export class BlockWork {
  readonly #options: BlockWorkOptions;
  readonly #working = new Set<Promise<void>>();
  /** Blocks being read or handed to connections, and who waits for the last of them. */
  #sending = 0;
  readonly #whenSent: (() => void)[] = [];
  /** Pieces that could not be recorded as finished. */
  readonly #unfinished = new Set<number>();
  #failure: SwarmFailure | undefined;

  constructor(options: BlockWorkOptions) {
    this.#options = options;
  }

  /** What the store failed of, since `resume`. */
  get failure(): SwarmFailure | undefined {
    return this.#failure;
  }

  /** Tries again what failed. */
  resume(): void {
    this.#failure = undefined;
    const unfinished = [...this.#unfinished];
    this.#unfinished.clear();
    for (const piece of unfinished) this.finish(piece);
  }

  /** Reads a block and sends it. `done` is called with the fact that follows. */
  send(to: PeerId, connection: Connection, block: Block, done: (fact: SwarmInput) => void): void {
    const { store, log, pack, lost } = this.#options;
    const { piece, offset, bytes } = block;
    this.#sending += 1;
    connection.sendBlock(
      { piece, offset, bytes },
      (target) => store.read(piece, offset, target),
      (error) => {
        if (error === undefined) done({ kind: "block-sent", to });
        else {
          log.warn({ pack, piece, err: error }, "a piece could not be read");
          if (error instanceof RottenPieceError && store.forget?.(piece) === true) lost(piece);
          done({ kind: "read-failed", to, piece });
        }
        this.#sending -= 1;
        if (this.#sending === 0) for (const resolve of this.#whenSent.splice(0)) resolve();
      },
    );
  }

  /** Writes a block that arrived in `buffer`, which its connection gets back. */
  store(from: PeerId, connection: Connection, buffer: Buffer, block: Block): void {
    const { store, input } = this.#options;
    const { piece, offset, bytes } = block;
    settle(() => store.write(piece, offset, buffer.subarray(0, bytes)), {
      done: () => {
        input({ kind: "block-stored", from, piece, offset, bytes });
        connection.release(buffer);
      },
      failed: (error) => {
        input({ kind: "store-failed", from, piece });
        this.#fail(error);
        connection.release(buffer);
      },
      waiting: this.#work,
    });
  }

  /** Compares a piece. */
  finish(piece: number): void {
    const { store, input, verified, log, pack } = this.#options;
    settle(() => store.finish(piece), {
      done: (verdict) => {
        input({ kind: `piece-${verdict}`, piece });
        // Whoever hears of it may look at the machine, which has the fact before this turn ends.
        if (verdict === "verified") queueMicrotask(() => verified(piece));
        else log.warn({ pack, piece }, "a piece was corrupt and is fetched again");
      },
      failed: (error) => {
        this.#unfinished.add(piece);
        input({ kind: "store-failed", from: "", piece });
        this.#fail(error);
      },
      waiting: this.#work,
    });
  }

  /** Compares a piece that the store has; one that has rotted it has no more. */
  scrub(piece: number): Promise<void> {
    const { store, log, pack, lost } = this.#options;
    const scrubbing = async () => {
      if (!store.has(piece) || (await store.isSound?.(piece)) !== false) return;
      log.warn({ pack, piece }, "a stored piece has rotted");
      if (store.forget?.(piece) === true) lost(piece);
    };
    const done = scrubbing().catch((error: unknown) => {
      log.warn({ pack, piece, err: error }, "a stored piece could not be compared");
    });
    this.#work(done);
    return done;
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    while (this.#working.size > 0 || this.#sending > 0) {
      await Promise.all(this.#working);
      if (this.#sending > 0) await new Promise<void>((sent) => this.#whenSent.push(sent));
    }
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    const kind = isStoreFull(error) ? "store-full" : "store-broken";
    this.#failure = { kind, message: (error as Error).message };
    this.#options.failed(this.#failure);
  }

  readonly #work = (promise: Promise<void>): void => {
    const done = promise.finally(() => this.#working.delete(done));
    this.#working.add(done);
  };
}
