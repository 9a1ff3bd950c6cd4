// The terms of one replica, one after the other: begins one when the replica is elected, ends it when it leads
// no more. Until a term has read what it begins from, the replica does not serve as leader.
import type { Log } from "../../runtime/log.ts";
import type { Fence } from "../fence.ts";
import type { HeldTerm } from "./held-term.ts";
import type { LedTerm, Term } from "./term.ts";

export interface TermsOptions {
  readonly log: Log;
  readonly start: (fence: Fence) => Promise<Term>;
  /** A term serves from now on. */
  readonly onBegun: () => void;
  /** A term cannot begin, as where the store is away. */
  readonly onFailed: (epoch: number) => void;
}

/** The term of this replica, if it leads. */
export class Terms {
  readonly #options: TermsOptions;
  #wanted: number | undefined;
  #term: Term | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: TermsOptions) {
    this.#options = options;
  }

  /** The term under way; undefined: another replica leads, or none. */
  get current(): Term | undefined {
    return this.#term;
  }

  /** The term under way, if it is one in which this replica decides. */
  get led(): LedTerm | undefined {
    return this.#term?.kind === "led" ? this.#term : undefined;
  }

  /** The term under way, if the store went back. */
  get held(): HeldTerm | undefined {
    return this.#term?.kind === "held" ? this.#term : undefined;
  }

  /** The replica is elected. */
  begin(fence: Fence): void {
    const { log, start, onBegun, onFailed } = this.#options;
    this.#wanted = fence.epoch;
    this.#do(async () => {
      if (this.#wanted !== fence.epoch) return;
      const term = await start(fence).catch((error: unknown) => {
        log.error({ err: error, epoch: fence.epoch }, "the term could not begin");
        onFailed(fence.epoch);
      });
      if (term === undefined) return;
      if (this.#wanted !== fence.epoch) {
        await term.stop();
        return;
      }
      this.#term = term;
      onBegun();
    });
  }

  /** The replica leads no more; resolves when nothing of the term is under way. */
  async end(): Promise<void> {
    this.#wanted = undefined;
    const term = this.#term;
    this.#term = undefined;
    // At once, not in turn: nothing more is decided.
    const stopped = term?.stop();
    this.#do(async () => stopped);
    await this.#turn;
  }

  #do(work: () => Promise<void>): void {
    this.#turn = this.#turn.then(work).catch((error: unknown) => {
      this.#options.log.error({ err: error }, "a term did not end well");
    });
  }
}
