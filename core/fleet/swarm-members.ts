// The members of one pack's swarm, and whom of them a newcomer is told: some of its own rack and zone, so that
// what is there need not come from afar again, and others by chance, so that racks and zones hang together.
import type { Random } from "../swarm/random.ts";

/**
 * Of those told so many are of the newcomer's rack, and together with these so many of its zone: of 8, six join it
 * to its rack, one more the racks of a zone, and one the zones. A machine gives as much to each neighbour, so of all
 * bytes three tenths cross racks of 20 machines; with seven of the rack one that sends little ends late (0029).
 */
const RACK_SHARE = 0.75;
const ZONE_SHARE = 0.875;

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

  put(entry: SwarmMember): void {
    const { member } = entry;
    this.#leavePlaces(member.peerId);
    this.#all.put(entry);
    for (const { name } of placesOf(member)) {
      const near = this.#near.get(name) ?? new MemberList();
      this.#near.set(name, near);
      near.put(entry);
    }
  }

  remove(peerId: string): void {
    this.#leavePlaces(peerId);
    this.#all.remove(peerId);
  }

  /** Up to `count` members, without the asker, those it knows and those of no use to it. */
  choose(asker: Asker, count: number, random: Random): RosterMember[] {
    const chosen: RosterMember[] = [];
    const told = new Set(asker.told);
    const take = (from: MemberList | undefined, share: number): void => {
      const most = Math.floor(share * count) - chosen.length;
      for (const one of from?.choose({ ...asker, told }, most, random) ?? []) {
        told.add(one.peerId);
        chosen.push(one);
      }
    };
    for (const { name, share } of placesOf(asker)) take(this.#near.get(name), share);
    take(this.#all, 1);
    return chosen;
  }

  #leavePlaces(peerId: string): void {
    const entry = this.#all.get(peerId);
    if (entry === undefined) return;
    for (const { name } of placesOf(entry.member)) {
      const near = this.#near.get(name);
      near?.remove(peerId);
      if (near?.size === 0) this.#near.delete(name);
    }
  }
}

/** The places that it stands in, the nearest first, and the share of those told that may be of them. */
function placesOf({ zone, rack }: Location): { name: string; share: number }[] {
  const places = [];
  if (rack !== "") places.push({ name: `rack ${zone}\n${rack}`, share: RACK_SHARE });
  if (zone !== "") places.push({ name: `zone ${zone}`, share: ZONE_SHARE });
  return places;
}

/** Members in an array, so that one can be chosen at random, with their places beside it. */
class MemberList {
  readonly #entries: SwarmMember[] = [];
  readonly #places = new Map<string, number>();

  get size(): number {
    return this.#entries.length;
  }

  get(peerId: string): SwarmMember | undefined {
    return this.#entries[this.#places.get(peerId) ?? -1];
  }

  of(relayId: string): RosterMember[] {
    return this.#entries.flatMap((entry) => (entry.relayId === relayId ? entry.member : []));
  }

  put(entry: SwarmMember): void {
    const { peerId } = entry.member;
    const place = this.#places.get(peerId) ?? this.#entries.length;
    this.#places.set(peerId, place);
    this.#entries[place] = entry;
  }

  remove(peerId: string): void {
    const place = this.#places.get(peerId);
    if (place === undefined) return;
    const last = this.#entries.pop() as SwarmMember;
    this.#places.delete(peerId);
    if (last.member.peerId === peerId) return;
    this.#entries[place] = last;
    this.#places.set(last.member.peerId, place);
  }

  /** A walk from a random place in steps of a random stride would favour runs; draw and skip instead. */
  choose({ peerId: own, isCaller, told }: Asker, count: number, random: Random): RosterMember[] {
    const chosen = new Map<string, RosterMember>();
    const size = this.#entries.length;
    const isFew = size <= 4 * count;
    const drawsMax = isFew ? size : 4 * count;
    const order = isFew ? shuffled(this.#entries, random) : undefined;
    for (let draw = 0; draw < drawsMax && chosen.size < count; draw += 1) {
      const entry = order?.[draw] ?? (this.#entries[Math.floor(random() * size)] as SwarmMember);
      const { member } = entry;
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
