// The neighbours of a machine by name and by place, and what lies side by side for all of them. Whoever knows
// where one is kept finds it there, without a look-up by its name.
import type { Instant } from "../machine.ts";
import { BitRows } from "./bit-rows.ts";
import type { Bitfield } from "./bitfield.ts";
import { BlockPool } from "./block-list.ts";
import type { PeerId, PeerRole } from "./message.ts";
import { type Neighbour, newNeighbour } from "./neighbour.ts";

export class NeighbourSet {
  /** Room for the lists of blocks of all. */
  readonly pool = new BlockPool();
  readonly #rows = new BitRows();
  readonly #byName = new Map<PeerId, Neighbour>();
  readonly #placed: (Neighbour | undefined)[] = [];

  get byName(): ReadonlyMap<PeerId, Neighbour> {
    return this.#byName;
  }

  /** The neighbour of that name, looked for at a place first; undefined: there is none. */
  find(peer: PeerId, place?: number): Neighbour | undefined {
    const placed = place === undefined ? undefined : this.#placed[place];
    return placed?.peer === peer ? placed : this.#byName.get(peer);
  }

  /** A peer connected. With it comes an empty set whose words lie between those of what it has. */
  add(now: Instant, peer: PeerId, role: PeerRole): { neighbour: Neighbour; settled: Bitfield } {
    const { place, sets } = this.#rows.take();
    const [has, settled] = sets;
    const neighbour = newNeighbour(now, place, { peer, role, has, pool: this.pool });
    this.#byName.set(peer, neighbour);
    this.#placed[place] = neighbour;
    return { neighbour, settled };
  }

  /** It is gone; nobody looks at its sets any more. */
  remove({ peer, place }: Neighbour): void {
    this.#byName.delete(peer);
    this.#placed[place] = undefined;
    this.#rows.give(place);
  }
}
