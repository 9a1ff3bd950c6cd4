// A swarm in virtual time: the very machines that run in production, joined by a modelled network. It
// performs what they command and tells them what came of it; peers join, die and misbehave as planned.
// It contains no decision of the swarm.
import type { Instant } from "../core/machine.ts";
import type { Received, SwarmEffect, SwarmInput } from "../core/swarm/facts.ts";
import type { Block, Message, PeerId } from "../core/swarm/message.ts";
import type { SwarmPeer } from "../core/swarm/swarm-peer.ts";
import { claimsAll, isTelling } from "./conduct.ts";
import { Connections } from "./connections.ts";
import { EventQueue } from "./event-queue.ts";
import { type Host, Network, type Pipe } from "./network.ts";
import { Disks } from "./simulated-disk.ts";
import {
  isWaited,
  type Link,
  linkTo,
  newMachine,
  newSimulatedPeer,
  type PeerPlan,
  type SimulatedPeer,
} from "./simulated-peer.ts";
import type { SwarmWorldOptions } from "./swarm-world-options.ts";
import { TraceHash } from "./trace-hash.ts";

const KINDS = {
  served: 0,
  arrived: 1,
  wake: 2,
  told: 3,
  called: 4,
} as const;

/** Of calls: before those of all hosts. */
const CALLED_GROUP = 0;

type Call = () => void;

type Arrival = { -readonly [Key in keyof Received]: Received[Key] };

export class SwarmWorld {
  readonly peers = new Map<PeerId, SimulatedPeer>();
  readonly trace = new TraceHash();
  readonly disconnects: { by: PeerId; peer: PeerId; reason: string; at: Instant }[] = [];
  /** Pieces that became whole at a peer by what others gave it, of all. */
  transfers = 0;
  readonly #options: SwarmWorldOptions;
  readonly #queue: EventQueue;
  readonly #isByHost: boolean;
  readonly #network: Network;
  readonly #connections: Connections;
  readonly #disks: Disks;
  /** Facts that follow from a step that goes on, and whose they are. */
  readonly #todo: SwarmInput[] = [];
  readonly #todoOf: SimulatedPeer[] = [];
  /** What the step that goes on commands. */
  readonly #effects: SwarmEffect[] = [];
  /** The fact that something arrived: the same one is told each time, as most facts are such. */
  readonly #received: Arrival = { kind: "received", from: "", message: { kind: "got" } };
  #isStepping = false;
  #unfinished = 0;

  constructor(options: SwarmWorldOptions) {
    this.#options = options;
    this.#isByHost = options.isByHost === true;
    this.#queue = new EventQueue(this.#isByHost ? options.roundTripMs / 2 : options.bucketMs);
    const { runBytes, sendBufferBytes, windowBytes, isFifo } = options;
    const { paceRate = Number.POSITIVE_INFINITY } = options;
    this.#network = new Network({
      queue: this.#queue,
      runBytes,
      sendBufferBytes,
      windowBytes,
      paceRate,
      isFifo,
      kinds: KINDS,
      drained: (pipe) => this.#drained(pipe),
    });
    const after = (ms: number, call: Call) => this.at(this.now + ms, call);
    const tell = (peer: SimulatedPeer, fact: SwarmInput) => this.input(peer, fact);
    const { roundTripMs, setUpMs, pieceBytes, diskMs = 0 } = options;
    this.#connections = new Connections({
      network: this.#network,
      ...{ roundTripMs, setUpMs, after },
      input: tell,
      tell: (peer, fact) =>
        this.#queue.add(this.#soon(this.now), peer.host.group, KINDS.told, peer, fact),
    });
    this.#disks = new Disks({
      ...{ pieceBytes, diskMs, after, tell },
      holdBack: (peer, from) => this.#holdBack(peer, from),
      whole: (peer, piece) => {
        this.transfers += 1;
        this.#hold(peer, piece);
      },
    });
  }

  get now(): Instant {
    return this.#queue.at;
  }

  /** Every honest peer that is up has every piece. */
  get isWhole(): boolean {
    return this.#unfinished === 0;
  }

  /** Adds a peer that knows the piece table and wants all; `beside` is of the same process, in another swarm. */
  join(plan: PeerPlan, beside?: SimulatedPeer): SimulatedPeer {
    const index = this.peers.size;
    const { seed, roundTripMs } = this.#options;
    const group = this.#isByHost ? index + 1 : CALLED_GROUP;
    const peer = newSimulatedPeer(plan, { index, seed, roundTripMs, group, beside });
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
        this.#arrived(subject as Link, object as Message);
        break;
      case KINDS.wake:
        this.#wake(subject as SimulatedPeer, object as SwarmPeer);
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
    this.#queue.add(this.#soon(instant), CALLED_GROUP, KINDS.called, call, undefined);
  }

  /** A peer that is alone on its host dies: its connections break. */
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
    peer.machine.leave();
    const salt = peer.index + this.peers.size;
    peer.machine = newMachine(peer.plan, peer.share, this.#options.seed, salt);
    peer.wakeAt = Number.POSITIVE_INFINITY;
    peer.parts = undefined;
    peer.corrupt.clear();
    this.#start(peer);
  }

  /** Breaks a connection: both ends that are up hear of it. */
  cut(a: SimulatedPeer, b: SimulatedPeer): void {
    this.#connections.cut(a, b);
  }

  /** Nothing gets through a connection, either way, before an instant. */
  clog(a: SimulatedPeer, b: SimulatedPeer, until: Instant): void {
    this.#connections.clog(a, b, until);
  }

  /** A peer gets a piece by another way. */
  mirror(peer: SimulatedPeer, piece: number): void {
    this.#hold(peer, piece);
    this.input(peer, { kind: "piece-added", piece });
  }

  /** A whole piece turns out to have rotted. */
  lose(peer: SimulatedPeer, piece: number): void {
    if (!peer.held.remove(piece)) return;
    peer.lost ??= new Set();
    peer.lost.add(piece);
    peer.parts?.delete(piece);
    if (peer.wholeAt !== undefined && isWaited(peer)) this.#unfinished += 1;
    peer.wholeAt = undefined;
    this.input(peer, { kind: "piece-lost", piece });
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
    while (this.#todo.length > 0) {
      this.#todo.pop();
      this.#todoOf.pop();
    }
    this.#isStepping = false;
  }

  #follow(peer: SimulatedPeer, input: SwarmInput): void {
    this.#todo.push(input);
    this.#todoOf.push(peer);
  }

  /** When something that concerns several hosts happens: before any has begun with what comes then. */
  #soon(instant: Instant): Instant {
    return this.#isByHost ? this.#queue.bucketFrom(instant) : instant;
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
    const { machine } = peer;
    const { now } = this;
    const effects = this.#effects;
    this.trace.note(peer.index, input, now);
    machine.step(now, input, effects);
    for (const effect of effects) this.#perform(peer, effect);
    // Popped one by one the array keeps its room; a new length of 0 would give it away.
    while (effects.length > 0) effects.pop();
    const due = machine.deadline;
    if (due >= peer.wakeAt) return;
    peer.wakeAt = due;
    this.#queue.add(due, peer.host.group, KINDS.wake, peer, machine);
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
        this.#connections.dial(peer, this.#peer(effect.peer));
        return;
      case "seek":
        this.at(this.now + this.#options.roundTripMs, () => this.#options.onSeek?.(peer));
        return;
      case "disconnect":
        this.disconnects.push({ ...effect, by: peer.id, at: this.now });
        this.#connections.disconnect(peer, this.#peer(effect.peer));
        return;
      case "send":
        this.#send(peer, effect.to, effect.message);
        return;
      case "send-block":
        this.#sendBlock(peer, effect.to, effect);
        return;
      case "store-block":
        this.#disks.store(peer, effect.from, effect);
        return;
      case "drop-block":
        return;
      case "finish":
        this.#disks.finish(peer, effect.piece);
        return;
      case "discard":
        peer.parts?.delete(effect.piece);
        return;
      case "leave-room":
        for (const one of peer.process) if (one !== peer) this.#follow(one, { kind: "room-left" });
        return;
      default:
        effect satisfies never;
    }
  }

  #send(peer: SimulatedPeer, to: PeerId, message: Message): void {
    const link = linkTo(peer, to);
    if (link === undefined) return;
    if (!link.isHonest && peer.plan.conduct === "leech" && isTelling(message)) return;
    this.#network.send(this.now, link, 0, message);
  }

  #sendBlock(peer: SimulatedPeer, to: PeerId, block: Block): void {
    const link = linkTo(peer, to);
    if (link === undefined) return;
    const { piece, offset, bytes } = block;
    const conduct = link.isHonest ? "honest" : peer.plan.conduct;
    if (conduct === "honest" && !peer.held.has(piece)) {
      if (peer.lost?.has(piece) !== true) throw new Error(`piece ${piece} is passed on unverified`);
      this.#follow(peer, { kind: "read-failed", to, piece });
      return;
    }
    const isWithheld = conduct === "staller" && offset > 0;
    if (conduct === "mute" || conduct === "leech" || isWithheld) return;
    const isRefused = conduct === "liar";
    if (isRefused) {
      this.#send(peer, to, { kind: "refuse", piece, reason: "absent" });
      // Nothing is on its way: its machine goes on, and refuses the next one without delay.
      this.#follow(peer, { kind: "received", from: to, message: { kind: "got" } });
    } else this.#network.send(this.now, link, bytes, { kind: "block", piece, offset, bytes });
    if (this.#network.hasTaken(link)) {
      this.#follow(peer, { kind: "block-sent", to });
    } else link.unsent += 1;
  }

  #drained(pipe: Pipe): void {
    const link = pipe as Link;
    for (; link.isOpen && link.unsent > 0; link.unsent -= 1) {
      this.input(link.from, { kind: "block-sent", to: link.otherId });
    }
  }

  #arrived(link: Link, message: Message): void {
    if (!link.isOpen) return;
    const { other: to, fromId, place, back, heldBack } = link;
    if (heldBack !== undefined) {
      heldBack.push(message);
      return;
    }
    to.lastLink = back;
    if (message.kind === "block") {
      const isCorrupted = !link.isHonest && link.from.plan.conduct === "corrupt";
      to.isArrivingBad = isCorrupted || this.#options.isFlipped?.() === true;
      this.#network.arrived(this.now, link, message.bytes);
      to.receivedBytes += message.bytes;
      if (link.isFromRelay) to.relayBytes += message.bytes;
      if (link.isIntoRack) to.intoRackBytes += message.bytes;
    }
    // Nothing arrives while a step goes on, and no machine keeps a fact.
    const received = this.#received;
    received.from = fromId;
    received.place = place;
    received.message = message;
    this.input(to, received);
  }

  #holdBack(peer: SimulatedPeer, from: PeerId): Call {
    const link = this.#peer(from).links.get(peer.id);
    if (link === undefined) return () => {};
    link.heldBack = [];
    return () => {
      const waiting = link.heldBack ?? [];
      link.heldBack = undefined;
      // One of them may hold back those behind it.
      for (const message of waiting) this.#arrived(link, message);
    };
  }

  #hold(peer: SimulatedPeer, piece: number): void {
    peer.held.add(piece);
    peer.lost?.delete(piece);
    if (peer.held.count < this.#options.pieceBytes.length || peer.wholeAt !== undefined) return;
    peer.wholeAt = this.now;
    if (isWaited(peer)) this.#unfinished -= 1;
  }

  #flood(peer: SimulatedPeer): void {
    const pieces = peer.held.pieces().slice(0, 64);
    for (const to of peer.links.keys()) this.#send(peer, to, { kind: "have", pieces });
  }

  #peer(id: PeerId): SimulatedPeer {
    const peer = this.peers.get(id);
    if (peer === undefined) throw new Error(`there is no peer ${id}`);
    return peer;
  }
}
