// How large what requests make is: drawn once for each, as its scenario has it.
import type { Random } from "../../core/swarm/random.ts";
import type { Scenario } from "../scenario.ts";
import { logNormal95 } from "./chance.ts";

export interface ReleaseSize {
  /** Plain bytes. */
  readonly releaseBytes: number;
  /** Encoded bytes of what is new. */
  readonly packBytes: number;
}

export class ReleaseSizes {
  readonly #artifact: Scenario["artifact"];
  readonly #random: Random;
  readonly #drawn = new Map<string, ReleaseSize>();

  constructor({ artifact }: Scenario, random: Random) {
    this.#artifact = artifact;
    this.#random = random;
  }

  /** Of a request, by its id. */
  of(request: string): ReleaseSize {
    const known = this.#drawn.get(request);
    if (known !== undefined) return known;
    const { bytes_p50, bytes_max, new_p50, new_p95 } = this.#artifact;
    const releaseBytes = Math.min(bytes_max, logNormal95(this.#random, bytes_p50, bytes_max));
    const share = Math.min(1, logNormal95(this.#random, new_p50, new_p95));
    const size = { releaseBytes, packBytes: releaseBytes * share };
    this.#drawn.set(request, size);
    return size;
  }
}
