// A network in virtual time: each peer has an upload rate and every link a delay; what is sent over a
// link arrives in order, and waits there while its receiver is busy. What messages mean, and whether
// they are true, it does not know.
import type { SwarmInput } from "../../../core/swarm/facts.ts";
import type { Message, PeerRole } from "../../../core/swarm/message.ts";
import type { VirtualTime } from "../virtual-time.ts";

export interface Delivery {
  readonly message: Message;
  readonly isBad: boolean;
}

/** One direction of a connection. */
interface Pipe {
  readonly queue: Delivery[];
  isHeld: boolean;
  lastArrival: number;
}

interface Link {
  readonly pipes: ReadonlyMap<string, Pipe>;
  isOpen: boolean;
}

/** A peer as the network sees it. */
export interface Endpoint {
  readonly id: string;
  readonly role: PeerRole;
  readonly uploadBytesPerMs: number;
  readonly links: Map<string, Link>;
  isUp: boolean;
  life: number;
  uploadFreeAt: number;
}

/** Who hears of what the network does. */
export interface Listener {
  input(id: string, input: SwarmInput): void;
  deliver(to: string, from: string, delivery: Delivery): void;
}

const LATENCY_MS = 5;

export class VirtualNetwork {
  readonly #time: VirtualTime;
  readonly #listener: Listener;

  constructor(time: VirtualTime, listener: Listener) {
    this.#time = time;
    this.#listener = listener;
  }

  /** Runs it unless the peer has died by then. */
  after(peer: Endpoint, delayMs: number, run: () => void): void {
    const life = peer.life;
    this.#time.in(delayMs, () => {
      if (peer.isUp && peer.life === life) run();
    });
  }

  dial(peer: Endpoint, target: Endpoint): void {
    this.after(peer, 3 * LATENCY_MS, () => this.#connect(peer, target));
  }

  /** One side closes: the other hears of it. */
  close(peer: Endpoint, other: Endpoint): void {
    const link = peer.links.get(other.id);
    if (link === undefined) return;
    link.isOpen = false;
    peer.links.delete(other.id);
    other.links.delete(peer.id);
    this.after(other, 0, () => {
      if (other.links.has(peer.id)) return;
      this.#listener.input(other.id, { kind: "dial-failed", peer: peer.id });
      this.#listener.input(other.id, { kind: "disconnected", peer: peer.id });
    });
  }

  /** The connection breaks: both hear of it. */
  cut(peer: Endpoint, other: Endpoint): void {
    this.close(peer, other);
    if (peer.isUp) this.#listener.input(peer.id, { kind: "disconnected", peer: other.id });
  }

  send(peer: Endpoint, target: Endpoint, delivery: Delivery): void {
    const link = peer.links.get(target.id);
    const pipe = link?.pipes.get(peer.id);
    if (link === undefined || pipe === undefined) return;
    const arrival = Math.max(this.#time.now + LATENCY_MS, pipe.lastArrival);
    pipe.lastArrival = arrival;
    this.after(target, arrival - this.#time.now, () => {
      if (!link.isOpen) return;
      pipe.queue.push(delivery);
      this.#drain(target, peer.id, link, pipe);
    });
  }

  /** Takes its turn in what the peer uploads; `left` where the link still stands by then. */
  upload(peer: Endpoint, to: string, bytes: number, left: () => void): void {
    const start = Math.max(this.#time.now, peer.uploadFreeAt);
    const leaves = start + bytes / peer.uploadBytesPerMs;
    peer.uploadFreeAt = leaves;
    const link = peer.links.get(to);
    this.after(peer, leaves - this.#time.now, () => {
      if (link?.isOpen) left();
    });
  }

  /** Lets nothing arrive from `from` until what is returned is called. */
  hold(peer: Endpoint, from: string): () => void {
    const link = peer.links.get(from);
    const pipe = link?.pipes.get(from);
    if (link === undefined || pipe === undefined) return () => {};
    pipe.isHeld = true;
    return () => {
      pipe.isHeld = false;
      this.#drain(peer, from, link, pipe);
    };
  }

  #connect(peer: Endpoint, target: Endpoint): void {
    if (peer.links.has(target.id)) return;
    if (!target.isUp) {
      this.#listener.input(peer.id, { kind: "dial-failed", peer: target.id });
      return;
    }
    const pipe = (): Pipe => ({ queue: [], isHeld: false, lastArrival: this.#time.now });
    const pipes = new Map([
      [peer.id, pipe()],
      [target.id, pipe()],
    ]);
    const link: Link = { pipes, isOpen: true };
    peer.links.set(target.id, link);
    target.links.set(peer.id, link);
    this.#listener.input(target.id, { kind: "connected", peer: peer.id, role: peer.role });
    if (!link.isOpen) return;
    this.#listener.input(peer.id, { kind: "connected", peer: target.id, role: target.role });
  }

  #drain(target: Endpoint, from: string, link: Link, pipe: Pipe): void {
    while (link.isOpen && !pipe.isHeld) {
      const delivery = pipe.queue.shift();
      if (delivery === undefined) return;
      this.#listener.deliver(target.id, from, delivery);
    }
  }
}
