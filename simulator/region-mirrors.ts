// The relays of one region as they bring a pack from the origin into the region's store: the very machines
// that do it in production, and a model of the origin and the store.

import { Mirror, type MirrorEffect, type MirrorInput } from "../core/fleet/mirror.ts";
import type { Instant } from "../core/machine.ts";
import { seededRandom } from "../core/swarm/random.ts";
import type { At, Wan } from "./wan.ts";

const PACK = "1.1";

export interface RegionMirrorsOptions {
  readonly relays: readonly string[];
  readonly seed: number;
  readonly bytesOf: (segment: number) => number;
  /** Milliseconds that a look at the store or a small blob takes. */
  readonly storeMs: number;
  readonly wan: Wan;
  readonly at: At;
  /** A relay has a segment. */
  readonly serve: (relay: number, segment: number) => void;
}

export class RegionMirrors {
  readonly #options: RegionMirrorsOptions;
  readonly #mirrors: Mirror[];
  /** Segments in the region's store. */
  readonly #stored = new Set<number>();
  #isSealed = false;

  constructor(options: RegionMirrorsOptions) {
    const { relays, seed } = options;
    this.#options = options;
    this.#mirrors = relays.map((id, index) => new Mirror(id, seededRandom(seed + index)));
    for (const relay of relays.keys()) this.#step(relay, 0, { kind: "relays", relays, apart: [] });
  }

  /** The origin has so many segments by now. */
  tell(now: Instant, segments: number, sealed: boolean): void {
    for (const relay of this.#mirrors.keys()) {
      this.#step(relay, now, { kind: "told", pack: PACK, segments, sealed });
    }
  }

  #step(relay: number, now: Instant, input: MirrorInput): void {
    const mirror = this.#mirrors[relay] as Mirror;
    const effects: MirrorEffect[] = [];
    const before = mirror.deadline;
    mirror.step(now, input, effects);
    for (const effect of effects) this.#perform(relay, now, effect);
    const due = mirror.deadline;
    if (due === before || due === Number.POSITIVE_INFINITY) return;
    this.#options.at(due, (at) => {
      if (mirror.deadline <= at) this.#step(relay, at, { kind: "wake" });
    });
  }

  #perform(relay: number, now: Instant, effect: MirrorEffect): void {
    const { wan, bytesOf, storeMs, at, serve } = this.#options;
    switch (effect.kind) {
      case "pull": {
        const { segment } = effect;
        wan.pull(now, bytesOf(segment), (then) => {
          this.#stored.add(segment);
          this.#step(relay, then, { kind: "stored", pack: PACK, segment, by: "pull" });
        });
        return;
      }
      case "look":
        at(now + storeMs, (then) => {
          const segments = [...this.#stored].sort((a, b) => a - b);
          const found = { kind: "found", pack: PACK, segments, sealed: this.#isSealed } as const;
          this.#step(relay, then, found);
        });
        return;
      case "copy-seal":
        at(now + storeMs, (then) => {
          this.#isSealed = true;
          this.#step(relay, then, { kind: "seal-stored", pack: PACK });
        });
        return;
      case "serve":
        serve(relay, effect.segment);
        return;
      case "fetch":
      case "drop":
        throw new Error(`a relay of one store and one pack commands ${effect.kind}`);
      default:
        effect satisfies never;
    }
  }
}
