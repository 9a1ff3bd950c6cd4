// The questions and answers by which the leader draws one wave. A relay that is lost, joins or does not
// answer makes it begin anew: counts of different moments cannot be added up.
import type { Instant } from "../machine.ts";
import { Census, type CensusCount } from "./census.ts";
import { isSettled } from "./settling.ts";

/** A relay counts its machines at once; a lost answer is asked for again, and so is one in unsettled times. */
const ANSWER_MS_MAX = 2_000;

export interface CensusQuestion {
  readonly query: number;
  readonly relays: readonly string[];
  readonly low: number;
  readonly high: number;
}

export interface DrawnWave {
  readonly size: number;
  readonly threshold: number;
}

export class WaveDraw {
  readonly #percent: number;
  #census: Census;
  #query: number;
  #relays: readonly string[] = [];
  readonly #answers = new Map<string, CensusCount>();
  #askAgainAt: Instant = Number.NEGATIVE_INFINITY;
  #firstAskedAt: Instant = Number.POSITIVE_INFINITY;

  /** `query` numbers questions apart from those of other waves. */
  constructor(percent: number, query: number) {
    this.#percent = percent;
    this.#census = new Census(percent);
    this.#query = query;
  }

  get query(): number {
    return this.#query;
  }

  get askAgainAt(): Instant {
    return this.#askAgainAt;
  }

  /** What to ask now, of the relays that are connected; undefined: answers are still awaited. */
  ask(at: Instant, relays: readonly string[]): CensusQuestion | undefined {
    const isSame =
      relays.length === this.#relays.length && relays.every((one) => this.#relays.includes(one));
    if (isSame && at < this.#askAgainAt) return undefined;
    this.#census = new Census(this.#percent);
    return this.#question(at, relays);
  }

  /** Takes an answer; what follows from it is the wave, another question, or nothing yet. */
  answered(
    at: Instant,
    relay: string,
    query: number,
    count: CensusCount,
  ): { readonly wave?: DrawnWave; readonly question?: CensusQuestion } {
    if (query !== this.#query || !this.#relays.includes(relay)) return {};
    this.#answers.set(relay, count);
    if (this.#answers.size < this.#relays.length) return {};
    if (!this.#isSettled(at)) {
      this.#query += 1;
      return {};
    }
    const result = this.#census.take([...this.#answers.values()]);
    switch (result.kind) {
      case "settled":
        return { wave: { size: result.size, threshold: result.threshold } };
      case "moved":
        this.#census = new Census(this.#percent);
        return { question: this.#question(at, this.#relays) };
      case "narrow":
        return { question: this.#question(at, this.#relays) };
      default:
        return result satisfies never;
    }
  }

  #isSettled(at: Instant): boolean {
    const all = [...this.#answers.values()];
    const total = all.reduce((sum, answer) => sum + answer.total, 0);
    const away = all.reduce((sum, answer) => sum + (answer.away ?? 0), 0);
    return isSettled({ away, total }, at, this.#firstAskedAt);
  }

  #question(at: Instant, relays: readonly string[]): CensusQuestion {
    this.#query += 1;
    this.#firstAskedAt = Math.min(this.#firstAskedAt, at);
    this.#relays = relays;
    this.#answers.clear();
    this.#askAgainAt = at + ANSWER_MS_MAX;
    return { query: this.#query, relays, ...this.#census.window };
  }
}
