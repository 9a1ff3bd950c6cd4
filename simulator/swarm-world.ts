// A swarm in virtual time: the very machines that run in production, joined by a modelled network. It
// performs what they command and tells them what came of it; peers join, die and misbehave as planned.
// It contains no decision of the swarm.
import type { Instant } from "../core/machine.ts";
import type { SwarmEffect, SwarmInput } from "../core/swarm/facts.ts";
import type { Block, Message, PeerId } from "../core/swarm/message.ts";
import type { SwarmPeer } from "../core/swarm/swarm-peer.ts";
import { claimsAll, isTelling } from "./conduct.ts";
import { EventQueue } from "./event-queue.ts";
import { type Host, Network, newHost, type Pipe } from "./network.ts";
import { compare, store } from "./simulated-disk.ts";
import {
  isWaited,
  type Link,
  linkTo,
  newMachine,
  newSimulatedPeer,
  type PeerPlan,
  type SimulatedPeer,
} from "./simulated-peer.ts";
import { TraceHash } from "./trace-hash.ts";

/** Round trips until a connection has carried both hellos. */
const SET_UP_ROUND_TRIPS = 2;

const KINDS = {
  served: 0,
  arrived: 1,
  wake: 2,
  dialled: 3,
  told: 4,
  stored: 5,
  called: 6,
} as const;

export interface SwarmWorldOptions {
  /** Encoded bytes of each piece. */
  readonly pieceBytes: readonly number[];
  readonly seed: number;
  /** From any host to any other and back. */
  readonly roundTripMs: number;
  /** Milliseconds that a process takes to answer a new connection. */
  readonly setUpMs: number;
  readonly runBytes: number;
  readonly sendBufferBytes: number;
  readonly windowBytes: number;
  /** About how long a few events take. */
  readonly bucketMs: number;
}

/** A direction of a connection: who speaks to whom, and what either has of it. */
interface Ends {
  readonly from: SimulatedPeer;
  readonly to: SimulatedPeer;
  readonly there: Link;
  readonly back: Link;
}

type Call = () => void;

export class SwarmWorld {
  readonly peers = new Map<PeerId, SimulatedPeer>();
  readonly trace = new TraceHash();
  readonly disconnects: { by: PeerId; peer: PeerId; reason: string; at: Instant }[] = [];
  /** Pieces that became whole at a peer, of all. */
  transfers = 0;
  readonly #options: SwarmWorldOptions;
  readonly #queue: EventQueue;
  readonly #network: Network;
  /** Facts that follow from a step that goes on, and whose they are. */
  readonly #todo: SwarmInput[] = [];
  readonly #todoOf: SimulatedPeer[] = [];
  #isStepping = false;
  #unfinished = 0;

  constructor(options: SwarmWorldOptions) {
    this.#options = options;
    this.#queue = new EventQueue(options.bucketMs);
    const { runBytes, sendBufferBytes, windowBytes } = options;
    this.#network = new Network({
      queue: this.#queue,
      runBytes,
      sendBufferBytes,
      windowBytes,
      kinds: KINDS,
      drained: (pipe) => this.#drained(pipe),
    });
  }

  get now(): Instant {
    return this.#queue.at;
  }

  /** Every honest peer that is up has every piece. */
  get isWhole(): boolean {
    return this.#unfinished === 0;
  }

  /** Adds a peer that knows the piece table and wants all. */
  join(plan: PeerPlan): SimulatedPeer {
    const index = this.peers.size;
    const host = newHost(plan.upRate, plan.downRate, this.#options.roundTripMs);
    const peer = newSimulatedPeer(plan, index, host, this.#newMachine(plan, index));
    this.peers.set(plan.id, peer);
    const isSource = plan.seeds || claimsAll(plan.conduct ?? "honest");
    if (isSource) for (const piece of this.#options.pieceBytes.keys()) peer.held.add(piece);
    this.#start(peer);
    return peer;
  }

  introduce(peer: SimulatedPeer, others: readonly SimulatedPeer[]): void {
    const peers = others.map(({ plan: { id, role } }) => ({ peer: id, role }));
    this.input(peer, { kind: "introduced", peers });
  }

  /** Runs until all honest peers are whole, or the time is over: false. */
  run(until: Instant): boolean {
    while (!this.isWhole) if (!this.step(until)) return false;
    return true;
  }

  /** Runs one event; false when there is none up to `until`. */
  step(until: Instant = Number.POSITIVE_INFINITY): boolean {
    const queue = this.#queue;
    if (!queue.take(until)) return false;
    const { subject, object } = queue;
    switch (queue.kind) {
      case KINDS.served:
        this.#network.served(this.now, subject as Host, object as number);
        break;
      case KINDS.arrived:
        this.#arrived(subject as Pipe, object as Message);
        break;
      case KINDS.wake:
        this.#wake(subject as SimulatedPeer, object as SwarmPeer);
        break;
      case KINDS.dialled:
        this.#dialled(subject as SimulatedPeer, object as SimulatedPeer);
        break;
      case KINDS.told:
        this.input(subject as SimulatedPeer, object as SwarmInput);
        break;
      default:
        (subject as Call)();
    }
    return true;
  }

  /** Calls back at an instant. */
  at(instant: Instant, call: Call): void {
    this.#queue.add(instant, KINDS.called, call, undefined);
  }

  /** A peer dies: its connections break. */
  kill(peer: SimulatedPeer): void {
    if (peer.wholeAt === undefined && isWaited(peer)) this.#unfinished -= 1;
    peer.isUp = false;
    peer.host.isUp = false;
    for (const { other } of [...peer.links.values()]) this.cut(peer, other);
  }

  /** It comes back with its whole pieces. */
  restart(peer: SimulatedPeer): void {
    peer.isUp = true;
    peer.host.isUp = true;
    peer.host.isServing = false;
    peer.machine = this.#newMachine(peer.plan, peer.index + this.peers.size);
    peer.wakeAt = Number.POSITIVE_INFINITY;
    peer.parts.clear();
    peer.corrupt.clear();
    this.#start(peer);
  }

  /** Breaks a connection: both ends that are up hear of it. */
  cut(a: SimulatedPeer, b: SimulatedPeer): void {
    if (!a.links.has(b.plan.id)) return;
    this.#unlink(a, b);
    this.#tell(a, { kind: "disconnected", peer: b.plan.id });
    this.#tell(b, { kind: "disconnected", peer: a.plan.id });
  }

  /** Nothing gets through a connection, either way, before an instant. */
  clog(a: SimulatedPeer, b: SimulatedPeer, until: Instant): void {
    for (const link of [a.links.get(b.plan.id), b.links.get(a.plan.id)]) {
      if (link !== undefined) this.#network.clog(link.out, until);
    }
  }

  /** A peer gets a piece by another way. */
  mirror(peer: SimulatedPeer, piece: number): void {
    this.#hold(peer, piece);
    this.input(peer, { kind: "piece-added", piece });
  }

  /** Steps a peer with a fact, and with all that follows from it at once. */
  input(peer: SimulatedPeer, input: SwarmInput): void {
    if (this.#isStepping) {
      this.#follow(peer, input);
      return;
    }
    this.#isStepping = true;
    if (peer.isUp) this.#step(peer, input);
    for (let at = 0; at < this.#todo.length; at += 1) {
      const next = this.#todoOf[at] as SimulatedPeer;
      if (next.isUp) this.#step(next, this.#todo[at] as SwarmInput);
    }
    if (this.#todo.length > 0) {
      this.#todo.length = 0;
      this.#todoOf.length = 0;
    }
    this.#isStepping = false;
  }

  #follow(peer: SimulatedPeer, input: SwarmInput): void {
    this.#todo.push(input);
    this.#todoOf.push(peer);
  }

  #newMachine(plan: PeerPlan, salt: number): SwarmPeer {
    const seed = Math.imul(this.#options.seed + 1, 0x9e3779b1) + Math.imul(salt + 1, 0x85ebca6b);
    return newMachine(plan, seed);
  }

  #start(peer: SimulatedPeer): void {
    peer.startedAt = this.now;
    if (isWaited(peer)) {
      if (peer.held.count < this.#options.pieceBytes.length) this.#unfinished += 1;
      else peer.wholeAt = this.now;
    }
    this.input(peer, { kind: "extended", bytes: this.#options.pieceBytes });
    for (const piece of peer.held.pieces()) this.input(peer, { kind: "piece-added", piece });
    this.input(peer, { kind: "wanted", pieces: "all" });
  }

  #step(peer: SimulatedPeer, input: SwarmInput): void {
    const effects: SwarmEffect[] = [];
    this.trace.note(peer.index, input, this.now);
    peer.machine.step(this.now, input, effects);
    for (const effect of effects) this.#perform(peer, effect);
    const due = peer.machine.deadline;
    if (due >= peer.wakeAt) return;
    peer.wakeAt = due;
    this.#queue.add(due, KINDS.wake, peer, peer.machine);
  }

  #wake(peer: SimulatedPeer, machine: SwarmPeer): void {
    if (!peer.isUp || machine !== peer.machine || this.now < peer.wakeAt) return;
    peer.wakeAt = Number.POSITIVE_INFINITY;
    if (peer.plan.conduct === "flooder") this.#flood(peer);
    this.input(peer, { kind: "wake" });
  }

  #perform(peer: SimulatedPeer, effect: SwarmEffect): void {
    switch (effect.kind) {
      case "dial":
        this.#dial(peer, this.#peer(effect.peer));
        return;
      case "disconnect":
        this.#disconnect(peer, this.#peer(effect.peer), effect.reason);
        return;
      case "send":
        this.#send(peer, effect.to, effect.message);
        return;
      case "send-block":
        this.#sendBlock(peer, effect.to, effect);
        return;
      case "store-block": {
        const { from, piece, offset, bytes } = effect;
        store(peer, from, effect, this.#options.pieceBytes[piece] ?? 0);
        this.#follow(peer, { kind: "block-stored", from, piece, offset, bytes });
        return;
      }
      case "drop-block":
        return;
      case "finish":
        this.#finish(peer, effect.piece);
        return;
      case "discard":
        peer.parts.delete(effect.piece);
        return;
      default:
        effect satisfies never;
    }
  }

  #dial(peer: SimulatedPeer, target: SimulatedPeer): void {
    const { roundTripMs, setUpMs } = this.#options;
    const at = this.now + SET_UP_ROUND_TRIPS * roundTripMs + setUpMs;
    this.#queue.add(at, KINDS.dialled, peer, target);
  }

  #dialled(peer: SimulatedPeer, target: SimulatedPeer): void {
    if (!peer.isUp || peer.links.has(target.plan.id)) return;
    if (!target.isUp) {
      this.input(peer, { kind: "dial-failed", peer: target.plan.id });
      return;
    }
    const [out, home] = this.#network.connect(peer.host, target.host);
    const there: Link = { other: target, out, unsent: 0 };
    const back: Link = { other: peer, out: home, unsent: 0 };
    out.owner = { from: peer, to: target, there, back } satisfies Ends;
    home.owner = { from: target, to: peer, there: back, back: there } satisfies Ends;
    peer.links.set(target.plan.id, there);
    target.links.set(peer.plan.id, back);
    this.input(target, { kind: "connected", peer: peer.plan.id, role: peer.plan.role });
    if (!peer.links.has(target.plan.id)) return;
    this.input(peer, { kind: "connected", peer: target.plan.id, role: target.plan.role });
  }

  #disconnect(peer: SimulatedPeer, other: SimulatedPeer, reason: string): void {
    this.disconnects.push({ by: peer.plan.id, peer: other.plan.id, reason, at: this.now });
    if (!peer.links.has(other.plan.id)) return;
    this.#unlink(peer, other);
    this.#tell(other, { kind: "dial-failed", peer: peer.plan.id });
    this.#tell(other, { kind: "disconnected", peer: peer.plan.id });
  }

  #unlink(a: SimulatedPeer, b: SimulatedPeer): void {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const link = one.links.get(other.plan.id);
      if (link !== undefined) this.#network.close(link.out);
      one.links.delete(other.plan.id);
      one.lastLink = undefined;
    }
  }

  #send(peer: SimulatedPeer, to: PeerId, message: Message): void {
    const link = linkTo(peer, to);
    if (link === undefined) return;
    if (peer.plan.conduct === "leech" && isTelling(message)) return;
    this.#network.send(this.now, link.out, 0, message);
  }

  #sendBlock(peer: SimulatedPeer, to: PeerId, block: Block): void {
    const link = linkTo(peer, to);
    if (link === undefined) return;
    const { piece, offset, bytes } = block;
    const { conduct } = peer.plan;
    const isWithheld = conduct === "staller" && offset > 0;
    if (conduct === "mute" || conduct === "leech" || isWithheld) return;
    const isRefused = conduct === "liar";
    if (isRefused) this.#send(peer, to, { kind: "refuse", piece, reason: "absent" });
    else this.#network.send(this.now, link.out, bytes, { kind: "block", piece, offset, bytes });
    if (this.#network.hasTaken(link.out)) {
      this.#follow(peer, { kind: "block-sent", to });
    } else link.unsent += 1;
  }

  #drained(pipe: Pipe): void {
    const { from, to, there } = pipe.owner as Ends;
    for (; pipe.isOpen && there.unsent > 0; there.unsent -= 1) {
      this.input(from, { kind: "block-sent", to: to.id });
    }
  }

  #arrived(pipe: Pipe, message: Message): void {
    if (!pipe.isOpen) return;
    const { from, to, back } = pipe.owner as Ends;
    to.lastLink = back;
    if (message.kind === "block") {
      this.#network.arrived(this.now, pipe, message.bytes);
      to.receivedBytes += message.bytes;
      if (from.plan.role === "relay") to.relayBytes += message.bytes;
    }
    this.input(to, { kind: "received", from: from.id, message });
  }

  #finish(peer: SimulatedPeer, piece: number): void {
    const isBad = compare(peer, piece, this.#options.pieceBytes[piece] ?? 0);
    if (!isBad) this.#hold(peer, piece);
    this.#follow(peer, { kind: isBad ? "piece-corrupt" : "piece-verified", piece });
  }

  #hold(peer: SimulatedPeer, piece: number): void {
    peer.held.add(piece);
    this.transfers += 1;
    if (peer.held.count < this.#options.pieceBytes.length || peer.wholeAt !== undefined) return;
    peer.wholeAt = this.now;
    if (isWaited(peer)) this.#unfinished -= 1;
  }

  #flood(peer: SimulatedPeer): void {
    const pieces = peer.held.pieces().slice(0, 64);
    for (const to of peer.links.keys()) this.#send(peer, to, { kind: "have", pieces });
  }

  #tell(peer: SimulatedPeer, input: SwarmInput): void {
    this.#queue.add(this.now, KINDS.told, peer, input);
  }

  #peer(id: PeerId): SimulatedPeer {
    const peer = this.peers.get(id);
    if (peer === undefined) throw new Error(`there is no peer ${id}`);
    return peer;
  }
}
