// Many SwarmPeer machines in virtual time, joined by a model of a network: each peer has an upload
// rate and every link a delay; blocks of a link arrive in order. Peers may corrupt, lie, be mute, be
// slow, leave and come back. It contains no decision of the swarm: only what a network and a disk do.
import assert from "node:assert/strict";
import type { SwarmEffect, SwarmInput } from "../../../core/swarm/facts.ts";
import type { Block, Message, PeerRole } from "../../../core/swarm/message.ts";
import { SwarmPeer } from "../../../core/swarm/swarm-peer.ts";

export type Conduct = "honest" | "corrupt" | "mute" | "liar";

export interface PeerPlan {
  readonly id: string;
  readonly role: PeerRole;
  readonly conduct?: Conduct;
  /** It starts with every piece. */
  readonly seeds?: boolean;
  readonly uploadBytesPerMs?: number;
}

interface Holding {
  stored: number;
  readonly givers: Set<string>;
  isBad: boolean;
  isWhole: boolean;
}

interface Delivery {
  readonly message: Message;
  readonly isBad: boolean;
}

/** One direction of a connection. */
interface Pipe {
  readonly queue: Delivery[];
  isStoring: boolean;
  lastArrival: number;
}

interface Link {
  readonly pipes: ReadonlyMap<string, Pipe>;
  isOpen: boolean;
}

interface Peer {
  readonly plan: PeerPlan;
  machine: SwarmPeer;
  readonly holdings: Map<number, Holding>;
  readonly links: Map<string, Link>;
  isUp: boolean;
  life: number;
  uploadFreeAt: number;
  wakeAt: number;
  bytesReceived: number;
  bytesFromRelays: number;
  arriving: Delivery | undefined;
}

interface Event {
  readonly at: number;
  readonly run: () => void;
}

const LATENCY_MS = 5;

function newHolding(isWhole: boolean): Holding {
  return { stored: 0, givers: new Set(), isBad: false, isWhole };
}

export class VirtualSwarm {
  readonly peers = new Map<string, Peer>();
  readonly disconnects: { by: string; peer: string; reason: string; at: number }[] = [];
  readonly pieceBytes: readonly number[];
  now = 0;
  /** A digest of all that happened, in order. */
  trace = 0x811c9dc5;
  /** Corrupt pieces that each peer got whole of one other, since it was started. */
  readonly corruptPieces = new Map<string, Map<string, number>>();
  readonly #events: Event[] = [];

  constructor(plans: readonly PeerPlan[], pieceBytes: readonly number[], seed: number) {
    this.pieceBytes = pieceBytes;
    plans.forEach((plan, index) => {
      this.peers.set(plan.id, this.#newPeer(plan, seed + index));
    });
    for (const peer of this.peers.values()) this.#start(peer);
  }

  /** Runs until all honest peers are whole; fails when that takes longer than `limitMs`. */
  runUntilWhole(limitMs: number): void {
    while (!this.isWhole) {
      assert(this.step(), `nothing more happens at ${this.now} ms: ${this.describe()}`);
      assert(this.now <= limitMs, `not whole after ${limitMs} ms: ${this.describe()}`);
    }
  }

  /** Runs all events up to an instant. */
  runUntil(at: number): void {
    while ((this.#events[0]?.at ?? Number.POSITIVE_INFINITY) <= at) this.step();
    this.now = Math.max(this.now, at);
  }

  /** Runs one event; false when there is none. */
  step(): boolean {
    const event = this.#pop();
    if (event === undefined) return false;
    this.now = event.at;
    event.run();
    return true;
  }

  /** Every peer that is up and honest has every piece. */
  get isWhole(): boolean {
    for (const peer of this.peers.values()) {
      if (!peer.isUp || (peer.plan.conduct ?? "honest") !== "honest") continue;
      const { have, wanted } = peer.machine.progress;
      if (have < wanted || wanted < this.pieceBytes.length) return false;
    }
    return true;
  }

  /** A peer dies: its connections break; `restart` gives it back with its verified pieces. */
  kill(id: string): void {
    const peer = this.#peer(id);
    peer.isUp = false;
    peer.life += 1;
    for (const other of [...peer.links.keys()]) this.#cut(peer, this.#peer(other));
  }

  restart(id: string, seed: number): void {
    const peer = this.#peer(id);
    assert(!peer.isUp);
    peer.isUp = true;
    peer.machine = new SwarmPeer({ peer: id, role: peer.plan.role, seed });
    peer.wakeAt = Number.POSITIVE_INFINITY;
    this.corruptPieces.delete(id);
    for (const [piece, holding] of peer.holdings) {
      if (!holding.isWhole) peer.holdings.delete(piece);
    }
    this.#start(peer);
  }

  /** A peer gets a piece by another way. */
  mirror(id: string, piece: number): void {
    this.#peer(id).holdings.set(piece, {
      stored: 0,
      givers: new Set(),
      isBad: false,
      isWhole: true,
    });
    this.input(id, { kind: "piece-added", piece });
  }

  /** Breaks one connection, if there is one. */
  cut(a: string, b: string): void {
    if (this.#peer(a).links.has(b)) this.#cut(this.#peer(a), this.#peer(b));
  }

  input(id: string, input: SwarmInput): void {
    const peer = this.#peer(id);
    const effects: SwarmEffect[] = [];
    peer.machine.step(this.now, input, effects);
    this.#note(`${id}<${input.kind}`);
    for (const effect of effects) this.#perform(peer, effect);
    this.#armWake(peer);
  }

  bytesOf(id: string): { received: number; fromRelays: number } {
    const peer = this.#peer(id);
    return { received: peer.bytesReceived, fromRelays: peer.bytesFromRelays };
  }

  describe(): string {
    return [...this.peers.values()]
      .map((peer) => `${peer.plan.id}:${peer.machine.progress.have}${peer.isUp ? "" : " down"}`)
      .join(" ");
  }

  #newPeer(plan: PeerPlan, seed: number): Peer {
    return {
      plan,
      machine: new SwarmPeer({ peer: plan.id, role: plan.role, seed }),
      holdings: new Map(),
      links: new Map(),
      isUp: true,
      life: 0,
      uploadFreeAt: 0,
      wakeAt: Number.POSITIVE_INFINITY,
      bytesReceived: 0,
      bytesFromRelays: 0,
      arriving: undefined,
    };
  }

  #start(peer: Peer): void {
    const { id, seeds, conduct } = peer.plan;
    this.input(id, { kind: "extended", bytes: this.pieceBytes });
    this.input(id, { kind: "wanted", pieces: "all" });
    for (let piece = 0; piece < this.pieceBytes.length; piece += 1) {
      // Who lies or corrupts says that it has everything.
      const isHeld = seeds || (conduct ?? "honest") !== "honest" || this.#isWhole(peer, piece);
      if (isHeld) this.input(id, { kind: "piece-added", piece });
    }
    const peers = [...this.peers.values()].map(({ plan }) => ({ peer: plan.id, role: plan.role }));
    this.input(id, { kind: "introduced", peers });
  }

  #perform(peer: Peer, effect: SwarmEffect): void {
    const { id } = peer.plan;
    switch (effect.kind) {
      case "dial":
        this.#after(peer, 3 * LATENCY_MS, () => this.#dial(peer, effect.peer));
        break;
      case "disconnect":
        this.disconnects.push({ by: id, peer: effect.peer, reason: effect.reason, at: this.now });
        this.#close(peer, this.#peer(effect.peer));
        break;
      case "send":
        this.#send(peer, effect.to, { message: effect.message, isBad: false }, this.now);
        break;
      case "send-block":
        this.#sendBlock(peer, effect.to, effect);
        break;
      case "store-block":
        this.#store(peer, effect.from, effect);
        break;
      case "drop-block":
        peer.arriving = undefined;
        break;
      case "finish":
        this.#after(peer, 0.1, () => this.#finish(peer, effect.piece));
        break;
      case "discard":
        peer.holdings.delete(effect.piece);
        break;
      default:
        effect satisfies never;
    }
  }

  #dial(peer: Peer, to: string): void {
    const target = this.#peer(to);
    if (peer.links.has(to)) return;
    if (!target.isUp) {
      this.input(peer.plan.id, { kind: "dial-failed", peer: to });
      return;
    }
    const pipe = (): Pipe => ({ queue: [], isStoring: false, lastArrival: this.now });
    const pipes = new Map([
      [peer.plan.id, pipe()],
      [to, pipe()],
    ]);
    const link: Link = { pipes, isOpen: true };
    peer.links.set(to, link);
    target.links.set(peer.plan.id, link);
    this.input(to, { kind: "connected", peer: peer.plan.id, role: peer.plan.role });
    if (!link.isOpen) return;
    this.input(peer.plan.id, { kind: "connected", peer: to, role: target.plan.role });
  }

  /** One side closes: the other hears of it. */
  #close(peer: Peer, other: Peer): void {
    const link = peer.links.get(other.plan.id);
    if (link === undefined) return;
    link.isOpen = false;
    peer.links.delete(other.plan.id);
    other.links.delete(peer.plan.id);
    this.#after(other, 0, () => {
      if (other.links.has(peer.plan.id)) return;
      this.input(other.plan.id, { kind: "dial-failed", peer: peer.plan.id });
      this.input(other.plan.id, { kind: "disconnected", peer: peer.plan.id });
    });
  }

  /** The connection breaks: both hear of it. */
  #cut(peer: Peer, other: Peer): void {
    this.#close(peer, other);
    if (peer.isUp) this.input(peer.plan.id, { kind: "disconnected", peer: other.plan.id });
  }

  #sendBlock(peer: Peer, to: string, effect: Block): void {
    const { piece, offset, bytes } = effect;
    if (peer.plan.conduct === "mute") return;
    const start = Math.max(this.now, peer.uploadFreeAt);
    const leaves = start + bytes / (peer.plan.uploadBytesPerMs ?? 100_000);
    peer.uploadFreeAt = leaves;
    const isBad = peer.plan.conduct === "corrupt";
    const link = peer.links.get(to);
    this.#after(peer, leaves - this.now, () => {
      if (!link?.isOpen) return;
      if (peer.plan.conduct === "liar") {
        const message = { kind: "refuse", piece, reason: "absent" } as const;
        this.#send(peer, to, { message, isBad: false }, this.now);
      } else {
        this.#send(peer, to, { message: { kind: "block", piece, offset, bytes }, isBad }, this.now);
      }
      this.input(peer.plan.id, { kind: "block-sent", to });
    });
  }

  #send(peer: Peer, to: string, delivery: Delivery, at: number): void {
    const link = peer.links.get(to);
    const pipe = link?.pipes.get(peer.plan.id);
    if (link === undefined || pipe === undefined) return;
    const arrival = Math.max(at + LATENCY_MS, pipe.lastArrival);
    pipe.lastArrival = arrival;
    const target = this.#peer(to);
    this.#after(target, arrival - this.now, () => {
      if (!link.isOpen) return;
      pipe.queue.push(delivery);
      this.#drain(target, peer.plan.id, link, pipe);
    });
  }

  #drain(target: Peer, from: string, link: Link, pipe: Pipe): void {
    while (link.isOpen && !pipe.isStoring) {
      const delivery = pipe.queue.shift();
      if (delivery === undefined) return;
      const { message } = delivery;
      if (message.kind === "block") {
        target.arriving = delivery;
        target.bytesReceived += message.bytes;
        if (this.#peer(from).plan.role === "relay") target.bytesFromRelays += message.bytes;
      }
      this.input(target.plan.id, { kind: "received", from, message });
      if (message.kind === "block" && target.arriving !== undefined) {
        assert(!link.isOpen, "a block was neither stored nor dropped");
      }
    }
  }

  #store(peer: Peer, from: string, block: Block): void {
    const delivery = peer.arriving;
    assert(delivery?.message.kind === "block", "store-block without a block");
    peer.arriving = undefined;
    const { piece, offset, bytes } = block;
    const holding = peer.holdings.get(piece) ?? newHolding(false);
    peer.holdings.set(piece, holding);
    assert(!holding.isWhole, "a whole piece is written again");
    assert.equal(holding.stored, offset, "blocks are written in order");
    const link = peer.links.get(from);
    const pipe = link?.pipes.get(from);
    if (pipe !== undefined) pipe.isStoring = true;
    this.#after(peer, 0.5, () => {
      holding.stored += bytes;
      holding.givers.add(from);
      holding.isBad ||= delivery.isBad;
      this.input(peer.plan.id, { kind: "block-stored", from, piece, offset, bytes });
      if (link === undefined || pipe === undefined) return;
      pipe.isStoring = false;
      this.#drain(peer, from, link, pipe);
    });
  }

  #finish(peer: Peer, piece: number): void {
    const holding = peer.holdings.get(piece);
    assert(holding !== undefined && holding.stored === this.pieceBytes[piece]);
    if (holding.isBad) peer.holdings.delete(piece);
    else holding.isWhole = true;
    const [giver, ...others] = holding.givers;
    if (holding.isBad && giver !== undefined && others.length === 0) {
      this.#countCorrupt(peer.plan.id, giver);
    }
    this.input(peer.plan.id, { kind: holding.isBad ? "piece-corrupt" : "piece-verified", piece });
  }

  #countCorrupt(by: string, giver: string): void {
    const counts = this.corruptPieces.get(by) ?? new Map<string, number>();
    counts.set(giver, (counts.get(giver) ?? 0) + 1);
    this.corruptPieces.set(by, counts);
  }

  #isWhole(peer: Peer, piece: number): boolean {
    return peer.holdings.get(piece)?.isWhole ?? false;
  }

  #armWake(peer: Peer): void {
    const { machine } = peer;
    const at = machine.deadline;
    if (at >= peer.wakeAt) return;
    peer.wakeAt = at;
    this.#after(peer, Math.max(0, at - this.now), () => {
      if (machine !== peer.machine || peer.wakeAt !== at) return;
      peer.wakeAt = Number.POSITIVE_INFINITY;
      if (machine.deadline <= this.now) this.input(peer.plan.id, { kind: "wake" });
      else this.#armWake(peer);
    });
  }

  #after(peer: Peer, delayMs: number, run: () => void): void {
    const life = peer.life;
    this.#push({
      at: this.now + delayMs,
      run: () => {
        if (peer.isUp && peer.life === life) run();
      },
    });
  }

  #peer(id: string): Peer {
    const peer = this.peers.get(id);
    assert(peer !== undefined);
    return peer;
  }

  #note(text: string): void {
    for (const char of `${text}@${this.now}`) {
      this.trace = Math.imul(this.trace ^ char.charCodeAt(0), 0x01000193) >>> 0;
    }
  }

  // Events in order of time, and of being made: a heap would be faster, this is fast enough.
  #push(event: Event): void {
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#events[middle]?.at ?? 0) <= event.at) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
  }

  #pop(): Event | undefined {
    return this.#events.shift();
  }
}
