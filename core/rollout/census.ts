// Draws a wave: finds the threshold of the hash below which exactly so many machines lie, by asking
// relays for counts over a window of hashes and narrowing it. It knows no machine by name.
import { waveSize } from "./bounds.ts";
import { type Candidate, isTarget, type Labels, passesFilter, type WaveRule } from "./targets.ts";
import { WAVE_HASH_END, waveHash } from "./wave-hash.ts";

/** Equal parts of a window that a relay counts machines in. */
export const CENSUS_PARTS = 256;
/** Hashes that a relay names at most, the lowest of the window: settles a small fleet in one round. */
export const CENSUS_LOWEST_MAX = 32;

export interface CensusWindow {
  readonly low: number;
  readonly high: number;
}

export interface CensusCount {
  readonly counts: readonly number[];
  readonly lowest: readonly number[];
  readonly total: number;
  /** Of these: on their way from one relay to another, so that both may count them; left out: none. */
  readonly away?: number;
}

/** Which machines a relay is to count: those of the rollout's targets that pass the wave's filter. */
export interface CountQuestion extends CensusWindow {
  readonly rollout: string;
  readonly targets: Labels;
  readonly rule: Omit<WaveRule, "threshold"> | undefined;
}

/** Counts a relay's machines of the window [low, high) by 256 equal parts of it. */
export function countMachines(
  machines: Iterable<Candidate>,
  asked: CountQuestion,
  isAway: (agentId: string) => boolean,
): CensusCount {
  const { rollout, low, high, targets, rule } = asked;
  const partWidth = Math.max(1, Math.ceil((high - low) / CENSUS_PARTS));
  const counts = new Array<number>(CENSUS_PARTS).fill(0);
  const hashes: number[] = [];
  let away = 0;
  for (const candidate of machines) {
    if (!isTarget(candidate, { labels: targets, excludedRegions: [] })) continue;
    if (rule !== undefined && !passesFilter(candidate, rule)) continue;
    const hash = waveHash(candidate.agentId, rollout);
    if (hash < low || hash >= high) continue;
    hashes.push(hash);
    if (isAway(candidate.agentId)) away += 1;
    const part = Math.floor((hash - low) / partWidth);
    counts[part] = (counts[part] as number) + 1;
  }
  const lowest = hashes.sort((a, b) => a - b).slice(0, CENSUS_LOWEST_MAX);
  return { counts, lowest, total: hashes.length, away };
}

export type CensusResult =
  | { readonly kind: "settled"; readonly size: number; readonly threshold: number }
  | { readonly kind: "narrow" }
  /** Machines came or went between two rounds; begin again. */
  | { readonly kind: "moved" };

/** One drawing; rounds until `settled`: 256 parts a round, so at most six for 48 bits. */
export class Census {
  readonly #percent: number;
  #window: CensusWindow = { low: 0, high: WAVE_HASH_END };
  #size: number | undefined;
  /** Machines below the window. */
  #below = 0;

  constructor(percent: number) {
    this.#percent = percent;
  }

  get window(): CensusWindow {
    return this.#window;
  }

  /** Takes the answers of all relays to the window asked last. */
  take(answers: readonly CensusCount[]): CensusResult {
    const total = answers.reduce((sum, answer) => sum + answer.total, 0);
    this.#size ??= waveSize(this.#percent, total);
    const size = this.#size;
    // All of them: whoever comes late is in it too.
    if (this.#percent >= 100) return { kind: "settled", size, threshold: WAVE_HASH_END };
    if (size === 0) return { kind: "settled", size, threshold: 0 };
    const rank = size - this.#below;
    if (rank < 1 || rank > total) return { kind: "moved" };
    const threshold = thresholdByNames(answers, rank);
    if (threshold !== undefined) return { kind: "settled", size, threshold };
    return this.#narrow(answers, rank);
  }

  #narrow(answers: readonly CensusCount[], rank: number): CensusResult {
    const partHashes = (this.#window.high - this.#window.low) / CENSUS_PARTS;
    let before = 0;
    for (let part = 0; part < CENSUS_PARTS; part++) {
      const here = answers.reduce((sum, answer) => sum + (answer.counts[part] ?? 0), 0);
      if (before + here < rank) {
        before += here;
        continue;
      }
      const low = this.#window.low + part * partHashes;
      if (partHashes <= 1) return { kind: "settled", size: this.#size ?? 0, threshold: low + 1 };
      this.#window = { low, high: low + partHashes };
      this.#below += before;
      return { kind: "narrow" };
    }
    return { kind: "moved" };
  }
}

/** The rank-th lowest hash and one, if every machine below it has been named. */
function thresholdByNames(answers: readonly CensusCount[], rank: number): number | undefined {
  const named = answers.flatMap((answer) => answer.lowest).sort((a, b) => a - b);
  const last = named[rank - 1];
  if (last === undefined) return undefined;
  const isComplete = answers.every(
    (answer) => answer.lowest.length >= answer.total || last <= (answer.lowest.at(-1) ?? -1),
  );
  return isComplete ? last + 1 : undefined;
}
