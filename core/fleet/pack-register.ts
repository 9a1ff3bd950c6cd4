// Which packs each region must mirror: those of assigned releases (target and fallback), of rollouts
// that wait, and of builds that are to be shipped, while they grow. It says what changes for whom;
// sending is not its business. Orders live in memory and are announced again after a restart.
import type { PackOrder } from "../builds/ship-orders.ts";

/** A shipped build's pack stays wanted so long for the rollout that follows in the same transaction. */
const KEPT_MS = 60_000;

/** A pack that a region must hold. */
export interface WantedPack {
  readonly pack: string;
  readonly segments: number;
  readonly isSealed: boolean;
}

export interface LiveOrder extends PackOrder {
  segments: number;
  /** When its build succeeded; undefined: it grows. */
  keptAt: number | undefined;
}

/** The packs of a release that regions need. */
export interface PackNeed {
  readonly packs: readonly { readonly pack: string; readonly segments: number }[];
  readonly excludedRegions: readonly string[];
}

/** What is needed, by whom, in one leader's term. */
export class PackRegister {
  readonly #orders = new Map<string, LiveOrder>();
  readonly #assigned = new Map<string, readonly PackNeed[]>();
  readonly #waiting = new Map<string, PackNeed>();

  /** Orders whose builds go on. */
  get orders(): readonly LiveOrder[] {
    return [...this.#orders.values()].filter(({ keptAt }) => keptAt === undefined);
  }

  /** An attempt is leased, or more is known of its order. */
  begun(order: PackOrder): LiveOrder {
    const live = { ...order, segments: this.#orders.get(order.pack)?.segments ?? 0 };
    const entry: LiveOrder = { ...live, keptAt: undefined };
    this.#orders.set(order.pack, entry);
    return entry;
  }

  /** So many segments lie at the origin; undefined: that changes nothing. */
  grew(pack: string, segments: number): LiveOrder | undefined {
    const order = this.#orders.get(pack);
    if (order === undefined || segments <= order.segments) return undefined;
    order.segments = segments;
    return order;
  }

  /** The attempt has ended; undefined: it was not ordered. */
  ended(pack: string, kept: boolean, at: number): LiveOrder | undefined {
    const order = this.#orders.get(pack);
    if (order === undefined) return undefined;
    if (kept) order.keptAt = at;
    else this.#orders.delete(pack);
    return order;
  }

  /** A service's assignments need these now. */
  assigned(service: string, needs: readonly PackNeed[]): void {
    this.#assigned.set(service, needs);
  }

  /** A rollout that has no assignment yet needs its release; undefined: not any more. */
  waiting(rollout: string, need: PackNeed | undefined): void {
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
      for (const { pack, segments } of need.packs) {
        wanted.set(pack, { pack, segments, isSealed: true });
      }
    }
    return wanted;
  }
}

/** What a relay is told that was told of these packs before, and now needs those. */
export function packChanges(
  told: ReadonlyMap<string, WantedPack>,
  wanted: ReadonlyMap<string, WantedPack>,
): { readonly news: readonly WantedPack[]; readonly dropped: readonly WantedPack[] } {
  const news = [...wanted.values()].filter(({ pack, segments, isSealed }) => {
    const before = told.get(pack);
    return before?.segments !== segments || before.isSealed !== isSealed;
  });
  return { news, dropped: [...told.values()].filter(({ pack }) => !wanted.has(pack)) };
}
