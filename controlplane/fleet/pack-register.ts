// Which packs each region must mirror: those of assigned releases (target and fallback), of rollouts
// that wait, and of builds that are to be shipped, while they grow. It says what changes for whom;
// sending is the hub's business. Orders live in memory and are announced again after a restart.
import type { Labels } from "../../core/rollout/targets.ts";
import type { ServiceAssignments } from "../../proto/gen/millrace/v1/fleet.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { PackOrder } from "../builds/pack-feed.ts";

/** A shipped build's pack stays wanted so long for the rollout that follows in the same transaction. */
const KEPT_MS = 60_000;

/** A pack that a region must hold. */
export interface WantedPack {
  readonly pack: string;
  readonly segments: number;
  readonly isSealed: boolean;
}

export interface LiveOrder extends PackOrder {
  readonly targets: Labels;
  segments: number;
  /** When its build succeeded; undefined: it grows. */
  keptAt: number | undefined;
}

/** A release that regions need. */
interface Need {
  readonly release: Release;
  readonly excludedRegions: readonly string[];
}

export class PackRegister {
  readonly #orders = new Map<string, LiveOrder>();
  readonly #assigned = new Map<string, readonly Need[]>();
  readonly #waiting = new Map<string, Need>();

  get orders(): readonly LiveOrder[] {
    return [...this.#orders.values()].filter(({ keptAt }) => keptAt === undefined);
  }

  order(pack: string): LiveOrder | undefined {
    return this.#orders.get(pack);
  }

  begun(order: PackOrder): LiveOrder {
    const live = { ...order, segments: this.#orders.get(order.pack)?.segments ?? 0 };
    const entry: LiveOrder = { ...live, keptAt: undefined };
    this.#orders.set(order.pack, entry);
    return entry;
  }

  grew(pack: string, segments: number): LiveOrder | undefined {
    const order = this.#orders.get(pack);
    if (order === undefined || segments <= order.segments) return undefined;
    order.segments = segments;
    return order;
  }

  ended(pack: string, kept: boolean, at: number): LiveOrder | undefined {
    const order = this.#orders.get(pack);
    if (order === undefined) return undefined;
    if (kept) order.keptAt = at;
    else this.#orders.delete(pack);
    return order;
  }

  /** A service's assignments are these now. */
  assigned({ service, assignments }: ServiceAssignments): void {
    const needs = assignments.flatMap(({ release, fallback, excludedRegions }) =>
      [release, fallback]
        .filter((one) => one !== undefined)
        .map((one) => ({ release: one, excludedRegions })),
    );
    this.#assigned.set(service, needs);
  }

  /** A rollout that has no assignment yet needs its release; undefined: not any more. */
  waiting(rollout: string, need: Need | undefined): void {
    if (need === undefined) this.#waiting.delete(rollout);
    else this.#waiting.set(rollout, need);
  }

  /** What a region must hold now, by pack. */
  wanted(region: string, at: number): Map<string, WantedPack> {
    const wanted = new Map<string, WantedPack>();
    for (const order of this.#orders.values()) {
      if (order.keptAt !== undefined && at >= order.keptAt + KEPT_MS) {
        this.#orders.delete(order.pack);
      } else if (!order.excludedRegions.includes(region)) {
        const { pack, segments } = order;
        wanted.set(pack, { pack, segments, isSealed: false });
      }
    }
    for (const need of [...this.#assigned.values()].flat().concat(...this.#waiting.values())) {
      if (need.excludedRegions.includes(region)) continue;
      for (const { pack, segments } of need.release.layout?.packs ?? []) {
        wanted.set(pack, { pack, segments, isSealed: true });
      }
    }
    return wanted;
  }
}
