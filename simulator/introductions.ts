// Who is introduced to whom, by the rules by which a relay's roster does it for its region: peers come one by one,
// each is told of a few by where it stands, and who has too few neighbours comes again.
import { SwarmMembers } from "../core/fleet/swarm-members.ts";
import { NEIGHBOURS_MIN, RELAY_NEIGHBOURS_MAX } from "../core/swarm/limits.ts";
import { type Random, shuffled } from "../core/swarm/random.ts";
import type { SimulatedPeer } from "./simulated-peer.ts";
import type { SwarmWorld } from "./swarm-world.ts";

/** Rounds in which peers come again where nobody is to wait for it. */
const SETTLE_ROUNDS = 3;

export interface IntroductionsOptions {
  readonly world: SwarmWorld;
  /** Relays, which all peers are told of; as many connect to each as it takes. */
  readonly seeds: readonly SimulatedPeer[];
  readonly random: Random;
}

export class Introductions {
  readonly #world: SwarmWorld;
  readonly #seeds: readonly SimulatedPeer[];
  readonly #random: Random;
  readonly #members = new SwarmMembers();
  /** Those in the swarm by their ids, and whom each was told of. */
  readonly #peers = new Map<string, SimulatedPeer>();
  readonly #told = new Map<string, Set<string>>();

  constructor({ world, seeds, random }: IntroductionsOptions) {
    this.#world = world;
    this.#seeds = seeds;
    this.#random = random;
    introduceAll(world, seeds);
  }

  /** All come at the beginning, one after the other. */
  joinAll(peers: readonly SimulatedPeer[]): void {
    for (const peer of peers) this.#join(peer);
    for (const seed of this.#seeds) {
      const some = shuffled(peers, this.#random).slice(0, RELAY_NEIGHBOURS_MAX);
      for (const peer of some) introduceAll(this.#world, [seed, peer]);
    }
  }

  /** One comes later. */
  join(peer: SimulatedPeer): void {
    this.#join(peer);
    for (const seed of this.#seeds) introduceAll(this.#world, [seed, peer]);
  }

  /** One is gone. */
  leave({ id }: SimulatedPeer): void {
    this.#members.remove(id);
    this.#peers.delete(id);
    this.#told.delete(id);
  }

  /** Tells one that has too few neighbours of others. */
  seek(peer: SimulatedPeer): void {
    if (this.#peers.get(peer.id) === peer) this.#tell(peer);
  }

  /** All that were told of too few come again, before anything else happens. */
  settle(): void {
    for (let round = 0; round < SETTLE_ROUNDS; round += 1) {
      for (const [id, told] of this.#told) {
        if (told.size < NEIGHBOURS_MIN) this.#tell(this.#peers.get(id) as SimulatedPeer);
      }
    }
  }

  #join(peer: SimulatedPeer): void {
    this.#peers.set(peer.id, peer);
    this.#told.set(peer.id, new Set());
    this.#tell(peer);
    this.#members.put({ member: memberOf(peer), relayId: "" });
  }

  #tell(peer: SimulatedPeer): void {
    const told = this.#told.get(peer.id) as Set<string>;
    const asker = { ...memberOf(peer), isCaller: false, told };
    for (const { peerId } of this.#members.introduce(asker, this.#random)) {
      told.add(peerId);
      this.#told.get(peerId)?.add(peer.id);
      introduceAll(this.#world, [peer, this.#peers.get(peerId) as SimulatedPeer]);
    }
  }
}

/** Introduces all to each other, or only `one` and the others. */
export function introduceAll(
  world: SwarmWorld,
  peers: readonly SimulatedPeer[],
  one?: SimulatedPeer,
): void {
  for (const peer of peers) {
    if (one === undefined || peer === one) world.introduce(peer, peers);
    else world.introduce(peer, [one]);
  }
}

function memberOf({ id, plan: { rack = "" } }: SimulatedPeer) {
  return { peerId: id, address: id, isCallable: false, zone: "", rack };
}
