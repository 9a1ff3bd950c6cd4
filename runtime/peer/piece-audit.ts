// Whether stored pieces still are what they were when they came. Comparing costs as much as reading a
// piece twice, so it is only done after somebody who got wrong bytes has said so, or one was found to have
// rotted, and once for each piece.
import { monotonicNow } from "../driver.ts";

/** Who is told often that it gives wrong bytes compares again only after so long. */
const DOUBT_MS_MIN = 10_000;

export class PieceAudit {
  readonly #compare: (piece: number) => Promise<boolean>;
  /** By piece, since the last doubt; undefined: nobody doubts. */
  #results: Map<number, Promise<boolean>> | undefined;
  #doubtedAt = Number.NEGATIVE_INFINITY;

  /** `compare` reads a whole piece and says whether it has its digest. */
  constructor(compare: (piece: number) => Promise<boolean>) {
    this.#compare = compare;
  }

  /** Somebody got wrong bytes. */
  doubt(): void {
    const now = monotonicNow();
    if (now - this.#doubtedAt < DOUBT_MS_MIN) return;
    this.#doubtedAt = now;
    this.#results = new Map();
  }

  /** A piece was compared and has rotted: its like are compared before they are given out, as after a doubt. */
  condemn(piece: number): void {
    this.#results ??= new Map();
    this.#results.set(piece, Promise.resolve(false));
  }

  /** Somebody has got wrong bytes since the start, or a piece has rotted. */
  get isDoubted(): boolean {
    return this.#results !== undefined;
  }

  /** Whether a piece may be given out; rejects where it cannot be read. */
  async passes(piece: number): Promise<boolean> {
    const results = this.#results;
    if (results === undefined) return true;
    const known = results.get(piece);
    if (known !== undefined) return known;
    const comparing = this.#compare(piece);
    results.set(piece, comparing);
    comparing.catch(() => results.delete(piece));
    return comparing;
  }

  /** The pieces were stored anew. */
  renewed(pieces: Iterable<number>): void {
    for (const piece of pieces) this.#results?.delete(piece);
  }
}
