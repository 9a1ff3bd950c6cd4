// The members of one pack's swarm, and whom of them a newcomer is told: some of its own rack and zone, so that
// what is there need not come from afar again, and others by chance, so that racks and zones hang together. All have
// about as many neighbours: a machine gives as much to each, so who has half as many gets half as much (0030).
import { NEIGHBOURS_MIN } from "../swarm/limits.ts";
import { type Random, shuffled } from "../swarm/random.ts";

/**
 * Members told to a newcomer beside the relays: it dials them, so that a graph of random links grows
 * whose mean degree is 16: 20k peers at four hops, and none cut off but by 8 losses at once.
 */
export const NEIGHBOURS_TOLD = NEIGHBOURS_MIN / 2;
/** And to one that comes again, as it has too few neighbours still. */
const NEIGHBOURS_TOLD_AGAIN = NEIGHBOURS_TOLD / 2;

/**
 * Of those told so many are of the newcomer's rack or, where it does not say its rack, of its zone: of 8, seven join it
 * to its rack, and one the racks. A machine gives as much to each neighbour, so of all bytes a quarter crosses racks of
 * 20 machines (0029, 0030).
 */
const NEAR_SHARE = 0.875;

/** Where a machine stands, by its labels; empty where they do not say. A rack is one of its zone. */
export interface Location {
  readonly zone: string;
  readonly rack: string;
}

/** An agent in a swarm; `address` is host:port, or empty where it does not listen. */
export interface RosterMember extends Location {
  readonly peerId: string;
  readonly address: string;
  /** It can be called by way of its relay. */
  readonly isCallable: boolean;
}

/** Who asks for members, and what it has been told. */
export interface Asker extends Location {
  readonly peerId: string;
  /**
   * Whether it may be told of members that can only be called. Not where it has an address itself:
   * they dial it, and TCP costs less than calls.
   */
  readonly isCaller: boolean;
  readonly told: ReadonlySet<string>;
}

/** A member, and the relay that it is connected to. */
export interface SwarmMember {
  /** Kept as it was given: who is in several swarms may be one object in all of them. */
  readonly member: RosterMember;
  readonly relayId: string;
}

/** A member, and how often others were told of it. */
interface Entry extends SwarmMember {
  tellings: number;
}

/** All members, and those of each zone and rack that has a name. */
export class SwarmMembers {
  readonly #all = new MemberList();
  /** By the names that `placesOf` gives. */
  readonly #near = new Map<string, MemberList>();

  get size(): number {
    return this.#all.size;
  }

  get(peerId: string): SwarmMember | undefined {
    return this.#all.get(peerId);
  }

  of(relayId: string): RosterMember[] {
    return this.#all.of(relayId);
  }

  put({ member, relayId }: SwarmMember): void {
    const tellings = this.#all.get(member.peerId)?.tellings ?? 0;
    const entry = { member, relayId, tellings };
    this.#leavePlaces(member.peerId);
    this.#all.put(entry);
    for (const name of placesOf(member)) {
      const near = this.#near.get(name) ?? new MemberList();
      this.#near.set(name, near);
      near.put(entry);
    }
  }

  remove(peerId: string): void {
    this.#leavePlaces(peerId);
    this.#all.remove(peerId);
  }

  /**
   * Whom one that asks is told: of a small swarm all, of others a few, and a few more each time that it comes again.
   * Without itself, those it knows and those of no use to it.
   */
  introduce(asker: Asker, random: Random): RosterMember[] {
    const { size } = this.#all;
    const few = size <= NEIGHBOURS_MIN ? size : NEIGHBOURS_TOLD;
    return this.choose(asker, asker.told.size === 0 ? few : NEIGHBOURS_TOLD_AGAIN, random);
  }

  /** Up to `count` members, without the asker, those it knows and those of no use to it. */
  choose(asker: Asker, count: number, random: Random): RosterMember[] {
    const chosen: RosterMember[] = [];
    const told = new Set(asker.told);
    const take = (from: MemberList | undefined, share: number): void => {
      const most = Math.floor(share * count) - chosen.length;
      for (const entry of from?.choose({ ...asker, told }, most, random) ?? []) {
        entry.tellings += 1;
        told.add(entry.member.peerId);
        chosen.push(entry.member);
      }
    };
    for (const name of placesOf(asker)) take(this.#near.get(name), NEAR_SHARE);
    take(this.#all, 1);
    return chosen;
  }

  #leavePlaces(peerId: string): void {
    const entry = this.#all.get(peerId);
    if (entry === undefined) return;
    for (const name of placesOf(entry.member)) {
      const near = this.#near.get(name);
      near?.remove(peerId);
      if (near?.size === 0) this.#near.delete(name);
    }
  }
}

/** The names of the places that it stands in, the nearest first. */
function placesOf({ zone, rack }: Location): string[] {
  const places = [];
  if (rack !== "") places.push(`rack ${zone}\n${rack}`);
  if (zone !== "") places.push(`zone ${zone}`);
  return places;
}

/** Members in an array, so that one can be chosen at random, with their places beside it. */
class MemberList {
  readonly #entries: Entry[] = [];
  readonly #places = new Map<string, number>();

  get size(): number {
    return this.#entries.length;
  }

  get(peerId: string): Entry | undefined {
    return this.#entries[this.#places.get(peerId) ?? -1];
  }

  of(relayId: string): RosterMember[] {
    return this.#entries.flatMap((entry) => (entry.relayId === relayId ? entry.member : []));
  }

  put(entry: Entry): void {
    const { peerId } = entry.member;
    const place = this.#places.get(peerId) ?? this.#entries.length;
    this.#places.set(peerId, place);
    this.#entries[place] = entry;
  }

  remove(peerId: string): void {
    const place = this.#places.get(peerId);
    if (place === undefined) return;
    const last = this.#entries.pop() as Entry;
    this.#places.delete(peerId);
    if (last.member.peerId === peerId) return;
    this.#entries[place] = last;
    this.#places.set(last.member.peerId, place);
  }

  /** Of few the least told of; of many, drawn by chance, of two always the one that fewer were told of. */
  choose({ peerId: own, isCaller, told }: Asker, count: number, random: Random): Entry[] {
    const isOfUse = ({ address, isCallable, peerId }: RosterMember): boolean =>
      peerId !== own && !told.has(peerId) && (address !== "" || (isCaller && isCallable));
    const size = this.#entries.length;
    const drawsMax = 4 * Math.max(count, NEIGHBOURS_TOLD);
    if (size <= drawsMax) {
      const usable = this.#entries.filter(({ member }) => isOfUse(member));
      return shuffled(usable, random)
        .sort((a, b) => a.tellings - b.tellings)
        .slice(0, Math.max(0, count));
    }
    const chosen = new Set<Entry>();
    const draw = (): Entry => this.#entries[Math.floor(random() * size)] as Entry;
    // A walk from a random place in steps of a random stride would favour runs; draw and skip instead.
    for (let draws = 0; draws < drawsMax && chosen.size < count; draws += 1) {
      const [one, other] = [draw(), draw()];
      const entry = other.tellings < one.tellings ? other : one;
      if (isOfUse(entry.member)) chosen.add(entry);
    }
    return [...chosen];
  }
}
