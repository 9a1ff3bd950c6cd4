// Connections of simulated peers: how they are set up and how they end. What passes on them is the
// network's, and what a peer makes of it the world's.
import type { Instant } from "../core/machine.ts";
import type { SwarmInput } from "../core/swarm/facts.ts";
import type { Network } from "./network.ts";
import { Link, type SimulatedPeer } from "./simulated-peer.ts";

/** Round trips until a connection has carried both hellos. */
const SET_UP_ROUND_TRIPS = 2;

export interface ConnectionsOptions {
  readonly network: Network;
  readonly roundTripMs: number;
  /** Milliseconds that a process takes to answer a new connection. */
  readonly setUpMs: number;
  readonly after: (ms: number, call: () => void) => void;
  /** Steps a peer with a fact, at once and after all that is to happen now. */
  readonly input: (peer: SimulatedPeer, fact: SwarmInput) => void;
  readonly tell: (peer: SimulatedPeer, fact: SwarmInput) => void;
}

/** The connections of all peers of a world. */
export class Connections {
  readonly #options: ConnectionsOptions;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  dial(peer: SimulatedPeer, target: SimulatedPeer): void {
    const { roundTripMs, setUpMs, after } = this.#options;
    after(SET_UP_ROUND_TRIPS * roundTripMs + setUpMs, () => this.#dialled(peer, target));
  }

  /** One side ends it; the other hears of it. */
  disconnect(peer: SimulatedPeer, other: SimulatedPeer): void {
    if (!this.#unlink(peer, other)) return;
    const { tell } = this.#options;
    tell(other, { kind: "dial-failed", peer: peer.plan.id });
    tell(other, { kind: "disconnected", peer: peer.plan.id });
  }

  /** It breaks: both ends that are up hear of it. */
  cut(a: SimulatedPeer, b: SimulatedPeer): void {
    if (!this.#unlink(a, b)) return;
    const { tell } = this.#options;
    tell(a, { kind: "disconnected", peer: b.plan.id });
    tell(b, { kind: "disconnected", peer: a.plan.id });
  }

  /** Nothing gets through, either way, before an instant. */
  clog(a: SimulatedPeer, b: SimulatedPeer, until: Instant): void {
    for (const link of [a.links.get(b.plan.id), b.links.get(a.plan.id)]) {
      if (link !== undefined) this.#options.network.clog(link, until);
    }
  }

  #dialled(peer: SimulatedPeer, target: SimulatedPeer): void {
    const { input } = this.#options;
    if (!peer.isUp || peer.links.has(target.plan.id)) return;
    if (!target.isUp) {
      input(peer, { kind: "dial-failed", peer: target.plan.id });
      return;
    }
    const there = new Link(peer, target);
    const back = new Link(target, peer);
    there.back = back;
    back.back = there;
    peer.links.set(target.plan.id, there);
    target.links.set(peer.plan.id, back);
    input(target, { kind: "connected", peer: peer.plan.id, role: peer.plan.role });
    if (!peer.links.has(target.plan.id)) return;
    input(peer, { kind: "connected", peer: target.plan.id, role: target.plan.role });
    for (const link of [there, back]) link.place = link.other.machine.placeOf(link.fromId);
  }

  /** False where there is no connection. */
  #unlink(a: SimulatedPeer, b: SimulatedPeer): boolean {
    if (!a.links.has(b.plan.id)) return false;
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const link = one.links.get(other.plan.id);
      if (link !== undefined) this.#options.network.close(link);
      one.links.delete(other.plan.id);
      one.lastLink = undefined;
    }
    return true;
  }
}
