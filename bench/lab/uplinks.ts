// How busy the uplinks of a lab's hosts are: its counters, looked at every half second of a race.
import { setTimeout as sleep } from "node:timers/promises";
import type { LabNetwork, NicBytes, NicRate } from "./network.ts";

const SAMPLE_MS = 500;
const PARTS = 5;

interface Sample {
  readonly atS: number;
  readonly hosts: readonly NicBytes[];
}

export class Uplinks {
  readonly #network: LabNetwork;
  readonly #rates: readonly NicRate[];
  readonly #startedAt = performance.now();
  readonly #samples: Sample[] = [];
  readonly #ending = new AbortController();
  readonly #sampling: Promise<void>;

  /** Looks from now on until `end`. `rates`: of all hosts, in their order. */
  constructor(network: LabNetwork, rates: readonly NicRate[]) {
    this.#network = network;
    this.#rates = rates;
    this.#sampling = this.#sample();
  }

  /** Ends looking. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#sampling;
  }

  /**
   * Share of the uplinks of the hosts `from` to `to` (not included) that was in use, in each fifth of the first `lastS`
   * seconds; NaN where they have no limit.
   */
  busy(from: number, to: number, lastS: number): number[] {
    const mbit = this.#rates.slice(from, to).reduce((sum, { upMbit }) => sum + upMbit, 0);
    const sentAt = (atS: number): Sample => {
      const index = this.#samples.findLastIndex((sample) => sample.atS <= atS);
      return this.#samples[Math.max(0, index)] as Sample;
    };
    const sum = ({ hosts }: Sample) =>
      hosts.slice(from, to).reduce((all, { sent }) => all + sent, 0);
    return Array.from({ length: PARTS }, (_, part) => {
      const [a, b] = [sentAt((lastS * part) / PARTS), sentAt((lastS * (part + 1)) / PARTS)];
      return ((sum(b) - sum(a)) * 8) / 1e6 / (mbit * (b.atS - a.atS));
    });
  }

  async #sample(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const atS = (performance.now() - this.#startedAt) / 1_000;
      this.#samples.push({ atS, hosts: await this.#network.counters() });
      await sleep(SAMPLE_MS, undefined, { signal }).catch(() => {});
    }
  }
}
