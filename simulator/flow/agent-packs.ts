// The packs on one machine's disk, and with them the swarms that it is in: it joins one when it is ordered to fetch
// the pack or puts its release together, and leaves it when it drops the pack, as the agent's shelf
// (agent/swarm/pack-shelf.ts) does. How bytes come is its region's business.
import { ORDER_HOLD_MS, PIECE_CACHE_BYTES, packsToDrop } from "../../core/fleet/piece-cache.ts";
import type { RosterMember } from "../../core/fleet/swarm-members.ts";
import type { Instant } from "../../core/machine.ts";
import type { FlowClock } from "./flow-clock.ts";
import type { RelayRoster } from "./relay-roster.ts";

/** A pack: its name, and the encoded bytes that it will have. */
export interface FlowPack {
  readonly id: string;
  readonly bytes: number;
}

interface Place {
  readonly pack: FlowPack;
  isOrdered: boolean;
  isStaged: boolean;
  holdUntil: Instant;
  lastUsedAt: Instant;
  /** A relay has introduced it to the swarm, for the first time. */
  joinedAt: Instant | undefined;
}

export class AgentPacks {
  readonly #clock: FlowClock;
  readonly #member: RosterMember;
  readonly #places: Place[] = [];
  /** Of the relay that it is connected to. */
  #roster: RelayRoster | undefined;
  #waiting: { readonly pack: string; readonly call: () => void }[] | undefined;

  constructor(agentId: string, clock: FlowClock) {
    this.#clock = clock;
    this.#member = { peerId: agentId, address: agentId, isCallable: false, zone: "", rack: "" };
  }

  /** A relay has taken it, which is told of all its swarms, and has these orders for it; undefined: it does not know yet. */
  connected(roster: RelayRoster, orders: readonly FlowPack[] | undefined): void {
    this.#roster = roster;
    for (const place of this.#places) this.#announce(place);
    for (const pack of orders ?? []) this.ordered(pack);
    if (orders === undefined) return;
    for (const { pack, isOrdered } of this.#places) {
      if (isOrdered && !orders.includes(pack)) this.orderEnded(pack.id, true);
    }
  }

  /** It has no relay any more; one that lives takes it out of its swarms. */
  gone(): void {
    for (const { pack } of this.#places) this.#roster?.leave(pack.id, this.#member);
    this.#roster = undefined;
  }

  /** It is to fetch a pack while it grows. */
  ordered(pack: FlowPack): void {
    this.#place(pack).isOrdered = true;
  }

  /** The order has ended; `isKept`: its pack belongs to a release now. */
  orderEnded(id: string, isKept: boolean): void {
    const place = this.#find(id);
    if (place?.isOrdered !== true) return;
    place.isOrdered = false;
    if (isKept) this.#used(place, ORDER_HOLD_MS);
    else this.#drop(place);
  }

  /** Its release is put together. */
  take(pack: FlowPack): void {
    this.#place(pack).isStaged = true;
  }

  /** Its release is on the disk. */
  release(id: string): void {
    const place = this.#find(id);
    if (place === undefined) return;
    place.isStaged = false;
    this.#used(place, 0);
    this.look();
  }

  /** Drops what is over the budget. What others fetch just now is not known: a quarter of an hour has passed. */
  look(): void {
    const { now } = this.#clock;
    const idle = this.#places.filter(({ isOrdered, isStaged }) => !isOrdered && !isStaged);
    const held = idle.map((place) => ({
      ...{ place, bytes: place.pack.bytes },
      ...{ lastUsedAt: place.lastUsedAt, holdUntil: place.holdUntil },
    }));
    const dropped = packsToDrop(held, now, PIECE_CACHE_BYTES, () => false);
    for (const { place } of dropped) this.#drop(place);
  }

  /** When it was introduced to the pack's swarm; undefined: it was not, or has left. */
  joinedAt(id: string): Instant | undefined {
    return this.#find(id)?.joinedAt;
  }

  /** Calls back when it has been introduced to a swarm that it waits for. */
  whenJoined(pack: string, call: () => void): void {
    this.#waiting ??= [];
    this.#waiting.push({ pack, call });
  }

  /** Machines that its relay introduces it to in a swarm that it is in, by their agents' ids. */
  mates(id: string): readonly string[] {
    const told = this.#roster?.introduce(id, this.#member) ?? [];
    return told.map(({ peerId }) => peerId);
  }

  #place(pack: FlowPack): Place {
    const known = this.#find(pack.id);
    if (known !== undefined) return known;
    const place: Place = {
      ...{ pack, isOrdered: false, isStaged: false, holdUntil: 0 },
      ...{ lastUsedAt: this.#now, joinedAt: undefined },
    };
    this.#places.push(place);
    this.#announce(place);
    return place;
  }

  #find(id: string): Place | undefined {
    return this.#places.find(({ pack }) => pack.id === id);
  }

  #announce(place: Place): void {
    if (this.#roster === undefined) return;
    const { id } = place.pack;
    this.#roster.join(id, this.#member);
    place.joinedAt ??= this.#now;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const others = waiting.filter(({ pack }) => pack !== id);
    this.#waiting = others.length > 0 ? others : undefined;
    for (const { pack, call } of waiting) if (pack === id) call();
  }

  /** In whole milliseconds: of a million of places, numbers that need no memory of their own. */
  get #now(): Instant {
    return Math.floor(this.#clock.now);
  }

  #used(place: Place, holdMs: number): void {
    place.lastUsedAt = this.#now;
    place.holdUntil = Math.max(place.holdUntil, place.lastUsedAt + holdMs);
  }

  #drop(place: Place): void {
    this.#places.splice(this.#places.indexOf(place), 1);
    this.#roster?.leave(place.pack.id, this.#member);
  }
}
