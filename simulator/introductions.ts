// Who is introduced to whom: what a relay's roster does for its region. A few random neighbours each keep
// a swarm of any size together, and nobody needs to know all.
import { NEIGHBOURS_TOLD } from "../core/fleet/roster.ts";
import { SwarmMembers } from "../core/fleet/swarm-members.ts";
import type { Random } from "../core/swarm/random.ts";
import type { SimulatedPeer } from "./simulated-peer.ts";
import type { SwarmWorld } from "./swarm-world.ts";

/** Agents that a seed is introduced to where peers have only some neighbours. */
const SEED_DEGREE = 32;

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

/** A random graph in which each peer has about `degree` neighbours, some of which know the seed. */
export function introduceSome(
  world: SwarmWorld,
  seed: SimulatedPeer,
  peers: readonly SimulatedPeer[],
  degree: number,
  random: Random,
): void {
  introduceRing(world, peers, degree, random);
  introduceTo(world, seed, peers, random);
}

/** Peers come one by one, and each is told of a few by where it stands, as relays tell them. */
export function introduceByPlace(
  world: SwarmWorld,
  seed: SimulatedPeer,
  peers: readonly SimulatedPeer[],
  random: Random,
): void {
  const members = new SwarmMembers();
  const byId = new Map(peers.map((peer) => [peer.id, peer]));
  for (const peer of peers) {
    const { id: peerId, rack = "" } = peer.plan;
    const member = { peerId, address: peerId, isCallable: false, zone: "", rack };
    const asker = { ...member, isCaller: false, told: new Set<string>() };
    for (const one of members.choose(asker, NEIGHBOURS_TOLD, random)) {
      introduceAll(world, [peer, byId.get(one.peerId) as SimulatedPeer]);
    }
    members.put({ member, relayId: seed.id });
  }
  introduceTo(world, seed, peers, random);
}

/** A random graph in which each peer has about `degree` neighbours: the sum of random rings. */
export function introduceRing(
  world: SwarmWorld,
  peers: readonly SimulatedPeer[],
  degree: number,
  random: Random,
): void {
  for (let ring = 0; ring < degree / 2; ring += 1) {
    const order = shuffled(peers, random);
    order.forEach((peer, place) => {
      const next = order[(place + 1) % order.length] as SimulatedPeer;
      introduceAll(world, [peer, next]);
    });
  }
}

/** Introduces a few peers by chance to a seed. */
export function introduceTo(
  world: SwarmWorld,
  seed: SimulatedPeer,
  peers: readonly SimulatedPeer[],
  random: Random,
): void {
  for (const peer of shuffled(peers, random).slice(0, SEED_DEGREE))
    introduceAll(world, [seed, peer]);
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const place = Math.floor(random() * (last + 1));
    [order[last], order[place]] = [order[place] as T, order[last] as T];
  }
  return order;
}
