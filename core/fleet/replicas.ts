// Which packs each region holds, by what its relays say. Relays of a region share one store, so what one reports
// whole is whole there. Writing it down is not its business.

/** How much of a pack a relay's region store holds. */
export interface Replica {
  readonly pack: string;
  /** Sealed, and all of it stored. */
  readonly whole: boolean;
  /** Encoded bytes. */
  readonly bytes: number;
  /** What keeps it from the region; empty: nothing. */
  readonly error: string;
}

interface Region {
  /** Whole packs by what was written down, until a relay says something of them. */
  readonly before: Map<string, number>;
  /** By pack and relay. */
  readonly said: Map<string, Map<string, Replica>>;
}

/** A pack that a region holds whole. */
export interface WholePack {
  readonly pack: string;
  readonly bytes: number;
}

export class Replicas {
  readonly #regions = new Map<string, Region>();

  /** Regions of which something is known. */
  get regions(): Iterable<string> {
    return this.#regions.keys();
  }

  /** What was known of a region before a restart. */
  restored(region: string, whole: readonly WholePack[]): void {
    const { before } = this.#of(region);
    for (const { pack, bytes } of whole) before.set(pack, bytes);
  }

  /** A relay says what its region holds; true: packs have become whole, or are no more. */
  reported(relay: string, region: string, packs: readonly Replica[]): boolean {
    const state = this.#of(region);
    let isChanged = false;
    for (const replica of packs) {
      const wasWhole = isWhole(state, replica.pack);
      const byRelay = state.said.get(replica.pack) ?? new Map<string, Replica>();
      state.said.set(replica.pack, byRelay.set(relay, replica));
      state.before.delete(replica.pack);
      isChanged ||= wasWhole !== isWhole(state, replica.pack);
    }
    return isChanged;
  }

  /** Nobody needs the pack any more; true: some region had something of it. */
  dropped(pack: string): boolean {
    let wasThere = false;
    for (const { said, before } of this.#regions.values()) {
      const was = said.delete(pack);
      if (before.delete(pack) || was) wasThere = true;
    }
    return wasThere;
  }

  isWhole(region: string, pack: string): boolean {
    const state = this.#regions.get(region);
    return state !== undefined && isWhole(state, pack);
  }

  /** Encoded bytes of the pack that lie in the region. */
  bytes(region: string, pack: string): number {
    const state = this.#regions.get(region);
    const said = [...(state?.said.get(pack)?.values() ?? [])].map(({ bytes }) => bytes);
    return Math.max(state?.before.get(pack) ?? 0, ...said);
  }

  /** What keeps a pack from a region, in the relays' words; empty: nothing. */
  error(region: string, pack: string): string {
    const replicas = this.#regions.get(region)?.said.get(pack)?.values() ?? [];
    return [...replicas].find(({ error }) => error !== "")?.error ?? "";
  }

  /** Packs that a region holds whole, by name. */
  whole(region: string): readonly WholePack[] {
    const state = this.#regions.get(region);
    return state === undefined ? [] : wholePacks(state);
  }

  #of(region: string): Region {
    const known = this.#regions.get(region);
    if (known !== undefined) return known;
    const state = { before: new Map(), said: new Map() };
    this.#regions.set(region, state);
    return state;
  }
}

/** The regions that lack some of these packs; none is known: that is what is missing. */
export function missingRegions(
  replicas: Pick<Replicas, "isWhole">,
  regions: readonly string[],
  packs: readonly string[],
): readonly string[] {
  if (regions.length === 0) return ["no region is known"];
  return regions.filter((region) => !packs.every((pack) => replicas.isWhole(region, pack)));
}

function isWhole({ said, before }: Region, pack: string): boolean {
  const replicas = said.get(pack);
  if (replicas === undefined) return before.has(pack);
  return [...replicas.values()].some(({ whole }) => whole);
}

function wholePacks(state: Region): WholePack[] {
  const whole = [...state.before].map(([pack, bytes]) => ({ pack, bytes }));
  for (const [pack, byRelay] of state.said) {
    const said = [...byRelay.values()].filter((replica) => replica.whole);
    if (said.length > 0) whole.push({ pack, bytes: Math.max(...said.map(({ bytes }) => bytes)) });
  }
  return whole.sort((a, b) => (a.pack < b.pack ? -1 : 1));
}
