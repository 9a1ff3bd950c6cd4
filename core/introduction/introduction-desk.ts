// Who gets introduced to whom in a swarm that one desk looks after: a newcomer is told members
// at random, so that a graph of random links with bounded degrees grows, and whoever loses too many is
// told others. Telling those with the fewest links would link newcomers to newcomers, in a long ribbon. It sees no connection between peers, only who has come to the desk and gone.
import type { Instant, Machine } from "../machine.ts";
import type { PeerId } from "../swarm/message.ts";
import { type Random, seededRandom } from "../swarm/random.ts";

/** Members told to a newcomer: links of 24 a member on average, of the 40 that a peer takes. */
export const LINKS_TOLD = 12;
/** Members with so many links are not told to anybody: room is left for those who come by themselves. */
export const LINKS_MAX = 32;
/** With fewer links a member is told others: half of what a newcomer gets. */
export const LINKS_MIN = 6;

/** A member to connect to; `address` is host:port, "" where it cannot be dialled. */
export interface DeskMember {
  readonly peer: PeerId;
  readonly address: string;
}

export type DeskInput =
  | ({ readonly kind: "joined" } & DeskMember)
  | { readonly kind: "left"; readonly peer: PeerId };

export interface DeskEffect {
  readonly kind: "introduce";
  readonly to: PeerId;
  readonly members: readonly DeskMember[];
}

interface Entry extends DeskMember {
  readonly links: Set<PeerId>;
}

/** Decides who is told of whom; nothing is due by time. */
export class IntroductionDesk implements Machine<DeskInput, DeskEffect> {
  readonly deadline: Instant = Number.POSITIVE_INFINITY;
  readonly #random: Random;
  readonly #entries = new Map<PeerId, Entry>();

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** Members now. */
  get size(): number {
    return this.#entries.size;
  }

  step(_now: Instant, input: DeskInput, effects: DeskEffect[]): void {
    switch (input.kind) {
      case "joined": {
        this.#remove(input.peer, effects);
        const entry = { peer: input.peer, address: input.address, links: new Set<PeerId>() };
        this.#entries.set(entry.peer, entry);
        this.#link(entry, LINKS_TOLD, effects);
        return;
      }
      case "left":
        this.#remove(input.peer, effects);
        return;
      default:
        input satisfies never;
    }
  }

  #remove(peer: PeerId, effects: DeskEffect[]): void {
    const gone = this.#entries.get(peer);
    if (gone === undefined) return;
    this.#entries.delete(peer);
    for (const other of gone.links) {
      const entry = this.#entries.get(other);
      if (entry === undefined) continue;
      entry.links.delete(peer);
      if (entry.links.size < LINKS_MIN) this.#link(entry, LINKS_MIN, effects);
    }
  }

  /** Brings a member to so many links, of which it is told the new ones. */
  #link(entry: Entry, links: number, effects: DeskEffect[]): void {
    const told = this.#choose(entry, links - entry.links.size);
    if (told.length === 0) return;
    for (const other of told) {
      other.links.add(entry.peer);
      entry.links.add(other.peer);
    }
    effects.push({ kind: "introduce", to: entry.peer, members: told.map(memberOf) });
    // Of two peers the lesser dials at once, the other after a while (`core/swarm/roster.ts`).
    for (const { peer } of told) {
      if (peer > entry.peer || entry.address === "") continue;
      effects.push({ kind: "introduce", to: peer, members: [memberOf(entry)] });
    }
  }

  /** Up to `count` members that can be dialled and have room, by chance. */
  #choose(entry: Entry, count: number): Entry[] {
    const open = [...this.#entries.values()].filter(
      (other) =>
        other !== entry &&
        other.address !== "" &&
        other.links.size < LINKS_MAX &&
        !other.links.has(entry.peer),
    );
    const chosen: Entry[] = [];
    while (chosen.length < count && open.length > 0) {
      const place = Math.floor(this.#random() * open.length);
      chosen.push(open[place] as Entry);
      open[place] = open[open.length - 1] as Entry;
      open.pop();
    }
    return chosen;
  }
}

function memberOf({ peer, address }: Entry): DeskMember {
  return { peer, address };
}
