// Who is in which pack's swarm in a region, as one relay knows it: its own agents, and what its siblings
// say of theirs. Newcomers get a few members at random; how siblings tell each other is not its business.
import type { Random } from "../swarm/random.ts";

/**
 * Members told to a newcomer beside the relays: it dials them, so that a graph of random links grows
 * whose mean degree is 16: 20k peers at four hops, and none cut off but by 8 losses at once.
 */
export const NEIGHBOURS_TOLD = 8;

/** An agent in a swarm; `address` is host:port, or empty where it does not listen. */
export interface RosterMember {
  readonly peerId: string;
  readonly address: string;
  /** It can be called by way of its relay. */
  readonly isCallable: boolean;
}

/** Who asks for members, and what it has been told. */
export interface Asker {
  readonly peerId: string;
  /**
   * Whether it may be told of members that can only be called. Not where it has an address itself:
   * they dial it, and TCP costs less than calls.
   */
  readonly isCaller: boolean;
  readonly told: ReadonlySet<string>;
}

/** A member of a pack's swarm. */
export interface Membership {
  readonly pack: string;
  readonly member: RosterMember;
}

/** The members of every pack's swarm. */
export class Roster {
  readonly #random: Random;
  readonly #swarms = new Map<string, SwarmMembers>();
  /** Key of our own agents is our relay's id. */
  readonly #own: string;

  constructor(ownRelayId: string, random: Random) {
    this.#own = ownRelayId;
    this.#random = random;
  }

  /** An agent of `relayId` (ours by default) is in the swarm, at that address. */
  join({ pack, member }: Membership, relayId: string = this.#own): void {
    const swarm = this.#swarms.get(pack) ?? new SwarmMembers();
    this.#swarms.set(pack, swarm);
    swarm.put({ ...member, relayId });
  }

  /** It left; ignored where it has come to another relay since. */
  leave(pack: string, peerId: string, relayId: string = this.#own): void {
    const swarm = this.#swarms.get(pack);
    if (swarm?.get(peerId)?.relayId !== relayId) return;
    swarm.remove(peerId);
    if (swarm.size === 0) this.#swarms.delete(pack);
  }

  /** Forgets all agents of a relay. */
  forget(relayId: string): void {
    for (const [pack, swarm] of [...this.#swarms]) {
      for (const { peerId } of swarm.of(relayId)) this.leave(pack, peerId, relayId);
    }
  }

  /** All memberships of our own agents. */
  own(): Membership[] {
    return [...this.#swarms].flatMap(([pack, swarm]) =>
      swarm.of(this.#own).map(({ relayId: _, ...member }) => ({ pack, member })),
    );
  }

  /** Number of members of a pack's swarm. */
  size(pack: string): number {
    return this.#swarms.get(pack)?.size ?? 0;
  }

  /** The relay of a member, ours or a sibling. */
  relayOf(pack: string, peerId: string): string | undefined {
    return this.#swarms.get(pack)?.get(peerId)?.relayId;
  }

  /** Up to `count` members at random, without the asker, those it knows and those of no use to it. */
  choose(pack: string, asker: Asker, count: number): RosterMember[] {
    return this.#swarms.get(pack)?.choose(asker, count, this.#random) ?? [];
  }
}

interface Entry extends RosterMember {
  readonly relayId: string;
}

/** Members in an array, so that one can be chosen at random, with their places beside it. */
class SwarmMembers {
  readonly #entries: Entry[] = [];
  readonly #places = new Map<string, number>();

  get size(): number {
    return this.#entries.length;
  }

  get(peerId: string): Entry | undefined {
    return this.#entries[this.#places.get(peerId) ?? -1];
  }

  of(relayId: string): Entry[] {
    return this.#entries.filter((entry) => entry.relayId === relayId);
  }

  put(entry: Entry): void {
    const place = this.#places.get(entry.peerId) ?? this.#entries.length;
    this.#places.set(entry.peerId, place);
    this.#entries[place] = entry;
  }

  remove(peerId: string): void {
    const place = this.#places.get(peerId);
    const last = this.#entries.pop();
    if (place === undefined || last === undefined) return;
    this.#places.delete(peerId);
    if (last.peerId === peerId) return;
    this.#entries[place] = last;
    this.#places.set(last.peerId, place);
  }

  /** A walk from a random place in steps of a random stride would favour runs; draw and skip instead. */
  choose({ peerId: own, isCaller, told }: Asker, count: number, random: Random): RosterMember[] {
    const chosen = new Map<string, RosterMember>();
    const size = this.#entries.length;
    const isFew = size <= 4 * count;
    const drawsMax = isFew ? size : 4 * count;
    const order = isFew ? shuffled(this.#entries, random) : undefined;
    for (let draw = 0; draw < drawsMax && chosen.size < count; draw += 1) {
      const entry = order?.[draw] ?? (this.#entries[Math.floor(random() * size)] as Entry);
      const { relayId: _, ...member } = entry;
      const isOfUse = member.address !== "" || (isCaller && member.isCallable);
      if (isOfUse && member.peerId !== own && !told.has(member.peerId)) {
        chosen.set(member.peerId, member);
      }
    }
    return [...chosen.values()];
  }
}

function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other] as Item, order[last] as Item];
  }
  return order;
}
