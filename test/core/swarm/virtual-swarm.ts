// Many SwarmPeer machines in virtual time, each with a virtual disk, joined by a virtual network. Peers
// may corrupt, lie, be mute, be slow, leave and come back. It contains no decision of the swarm.
import assert from "node:assert/strict";
import type { SwarmEffect, SwarmInput } from "../../../core/swarm/facts.ts";
import type { Block, PeerRole } from "../../../core/swarm/message.ts";
import { seededRandom } from "../../../core/swarm/random.ts";
import { SwarmPeer } from "../../../core/swarm/swarm-peer.ts";
import { VirtualTime } from "../virtual-time.ts";
import { VirtualDisk } from "./virtual-disk.ts";
import { type Delivery, type Endpoint, VirtualNetwork } from "./virtual-network.ts";

export type Conduct = "honest" | "corrupt" | "mute" | "liar";

export interface PeerPlan {
  readonly id: string;
  readonly role: PeerRole;
  readonly conduct?: Conduct;
  /** It starts with every piece. */
  readonly seeds?: boolean;
  readonly uploadBytesPerMs?: number;
}

interface Peer extends Endpoint {
  readonly plan: PeerPlan;
  machine: SwarmPeer;
  readonly disk: VirtualDisk;
  wakeAt: number;
  bytesReceived: number;
  bytesFromRelays: number;
  arriving: Delivery | undefined;
}

/** About 0.8 Gbit/s, where the plan says nothing. */
const UPLOAD_BYTES_PER_MS = 100_000;

export class VirtualSwarm {
  readonly peers = new Map<string, Peer>();
  readonly disconnects: { by: string; peer: string; reason: string; at: number }[] = [];
  readonly pieceBytes: readonly number[];
  /** A digest of all that happened, in order. */
  trace = 0x811c9dc5;
  /** Corrupt pieces that each peer got whole of one other, since it was started. */
  readonly corruptPieces = new Map<string, Map<string, number>>();
  /** "PEER PIECE" for each piece of which a peer has begun to give a block. */
  readonly begun = new Set<string>();
  /** Of so many blocks about one is turned around on its way, whoever sends it; 0: none. */
  flipsOneIn = 0;
  flips = 0;
  readonly #wireRandom: () => number;
  readonly #time = new VirtualTime();
  readonly #network: VirtualNetwork = new VirtualNetwork(this.#time, {
    input: (id, input) => this.input(id, input),
    deliver: (to, from, delivery) => this.#deliver(this.#peer(to), from, delivery),
  });

  constructor(plans: readonly PeerPlan[], pieceBytes: readonly number[], seed: number) {
    this.pieceBytes = pieceBytes;
    this.#wireRandom = seededRandom(seed);
    plans.forEach((plan, index) => {
      this.peers.set(plan.id, this.#newPeer(plan, seed + index));
    });
    for (const peer of this.peers.values()) this.#start(peer);
  }

  get now(): number {
    return this.#time.now;
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
    while (this.#time.step(at));
    this.#time.now = Math.max(this.now, at);
  }

  /** Runs one event; false when there is none. */
  step(): boolean {
    return this.#time.step();
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
    for (const other of [...peer.links.keys()]) this.#network.cut(peer, this.#peer(other));
  }

  restart(id: string, seed: number): void {
    const peer = this.#peer(id);
    assert(!peer.isUp);
    peer.isUp = true;
    peer.machine = new SwarmPeer({ peer: id, role: peer.plan.role, seed });
    peer.wakeAt = Number.POSITIVE_INFINITY;
    this.corruptPieces.delete(id);
    peer.disk.discardParts();
    this.#start(peer);
  }

  /** A peer gets a piece by another way. */
  mirror(id: string, piece: number): void {
    this.#peer(id).disk.put(piece);
    this.input(id, { kind: "piece-added", piece });
  }

  /** Breaks one connection, if there is one. */
  cut(a: string, b: string): void {
    if (this.#peer(a).links.has(b)) this.#network.cut(this.#peer(a), this.#peer(b));
  }

  input(id: string, input: SwarmInput): void {
    const peer = this.#peer(id);
    const effects: SwarmEffect[] = [];
    peer.machine.step(this.now, input, effects);
    this.#note(`${id}<${JSON.stringify(input)}`);
    for (const effect of effects) this.#perform(peer, effect);
    this.#armWake(peer);
  }

  bytesOf(id: string): { received: number; fromRelays: number } {
    const peer = this.#peer(id);
    return { received: peer.bytesReceived, fromRelays: peer.bytesFromRelays };
  }

  describe(): string {
    return [...this.peers.values()]
      .map((peer) => `${peer.id}:${peer.machine.progress.have}${peer.isUp ? "" : " down"}`)
      .join(" ");
  }

  #newPeer(plan: PeerPlan, seed: number): Peer {
    return {
      id: plan.id,
      role: plan.role,
      uploadBytesPerMs: plan.uploadBytesPerMs ?? UPLOAD_BYTES_PER_MS,
      plan,
      machine: new SwarmPeer({ peer: plan.id, role: plan.role, seed }),
      disk: new VirtualDisk(),
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
      const isHeld = seeds || (conduct ?? "honest") !== "honest" || peer.disk.isWhole(piece);
      if (isHeld) this.input(id, { kind: "piece-added", piece });
    }
    const peers = [...this.peers.values()].map(({ plan }) => ({ peer: plan.id, role: plan.role }));
    this.input(id, { kind: "introduced", peers });
  }

  #perform(peer: Peer, effect: SwarmEffect): void {
    const { id } = peer.plan;
    switch (effect.kind) {
      case "dial":
        this.#network.dial(peer, this.#peer(effect.peer));
        break;
      case "disconnect":
        this.disconnects.push({ by: id, peer: effect.peer, reason: effect.reason, at: this.now });
        this.#network.close(peer, this.#peer(effect.peer));
        break;
      case "send":
        this.#network.send(peer, this.#peer(effect.to), { message: effect.message, isBad: false });
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
        this.#network.after(peer, 0.1, () => this.#finish(peer, effect.piece));
        break;
      case "discard":
        peer.disk.discard(effect.piece);
        break;
      default:
        effect satisfies never;
    }
  }

  #sendBlock(peer: Peer, to: string, { piece, offset, bytes }: Block): void {
    const { conduct, seeds } = peer.plan;
    if (conduct === "mute") return;
    const isHonest = (conduct ?? "honest") === "honest";
    assert(!isHonest || seeds || peer.disk.isWhole(piece), "a piece is passed on unverified");
    this.begun.add(`${peer.id} ${piece}`);
    this.#network.upload(peer, to, bytes, () => {
      const refusal = { kind: "refuse", piece, reason: "absent" } as const;
      const block = { kind: "block", piece, offset, bytes } as const;
      const message = conduct === "liar" ? refusal : block;
      const isBad = conduct === "corrupt" || this.#isFlipped();
      this.#network.send(peer, this.#peer(to), { message, isBad });
      this.input(peer.id, { kind: "block-sent", to });
    });
  }

  #isFlipped(): boolean {
    if (this.flipsOneIn === 0 || this.#wireRandom() * this.flipsOneIn >= 1) return false;
    this.flips += 1;
    return true;
  }

  #deliver(target: Peer, from: string, delivery: Delivery): void {
    const { message } = delivery;
    if (message.kind === "block") {
      target.arriving = delivery;
      target.bytesReceived += message.bytes;
      if (this.#peer(from).role === "relay") target.bytesFromRelays += message.bytes;
    }
    this.input(target.id, { kind: "received", from, message });
    if (message.kind === "block" && target.arriving !== undefined) {
      assert(!target.links.has(from), "a block was neither stored nor dropped");
    }
  }

  #store(peer: Peer, from: string, block: Block): void {
    const delivery = peer.arriving;
    assert(delivery?.message.kind === "block", "store-block without a block");
    peer.arriving = undefined;
    const { piece, offset, bytes } = block;
    const stored = peer.disk.write(block, from, delivery.isBad);
    const goOn = this.#network.hold(peer, from);
    this.#network.after(peer, 0.5, () => {
      stored();
      this.input(peer.id, { kind: "block-stored", from, piece, offset, bytes });
      goOn();
    });
  }

  #finish(peer: Peer, piece: number): void {
    const { isBad, givers } = peer.disk.finish(piece, this.pieceBytes[piece] as number);
    const [giver, ...others] = givers;
    if (isBad && giver !== undefined && others.length === 0) this.#countCorrupt(peer.id, giver);
    this.input(peer.id, { kind: isBad ? "piece-corrupt" : "piece-verified", piece });
  }

  #countCorrupt(by: string, giver: string): void {
    const counts = this.corruptPieces.get(by) ?? new Map<string, number>();
    counts.set(giver, (counts.get(giver) ?? 0) + 1);
    this.corruptPieces.set(by, counts);
  }

  #armWake(peer: Peer): void {
    const { machine } = peer;
    const at = machine.deadline;
    if (at >= peer.wakeAt) return;
    peer.wakeAt = at;
    this.#network.after(peer, Math.max(0, at - this.now), () => {
      if (machine !== peer.machine || peer.wakeAt !== at) return;
      peer.wakeAt = Number.POSITIVE_INFINITY;
      if (machine.deadline <= this.now) this.input(peer.id, { kind: "wake" });
      else this.#armWake(peer);
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
}
