// One pack's swarm in this process: a SwarmPeer machine, its connections and its store. It turns what
// sockets and disk do into facts, and the machine's commands into what they do; it decides nothing
// but which of two connections to the same peer stays.
import { randomBytes } from "node:crypto";
import type { Instant } from "../../core/machine.ts";
import { PIECE_ROW_BYTES, PieceTable } from "../../core/release/piece-table.ts";
import { Bitfield } from "../../core/swarm/bitfield.ts";
import type { DisconnectReason, SwarmEffect, SwarmInput } from "../../core/swarm/facts.ts";
import type { Frame, Hello } from "../../core/swarm/frame.ts";
import type { Share } from "../../core/swarm/lane.ts";
import type { Block, PeerId, PeerRole } from "../../core/swarm/message.ts";
import type { StoredPack } from "../../core/swarm/scrub-round.ts";
import { SwarmPeer } from "../../core/swarm/swarm-peer.ts";
import { Driver } from "../driver.ts";
import { BlockWork } from "./block-work.ts";
import type { Connection } from "./connection.ts";
import type { PieceStore } from "./piece-store.ts";
import type { Introduction, Swarm, SwarmFailure, SwarmLog, SwarmProgress } from "./swarm.ts";
import { SwarmListeners } from "./swarm-listeners.ts";

/** Addresses kept: four times the peers that the machine remembers. */
const ADDRESSES_MAX = 1024;

/** Byes of a peer that got wrong bytes from us. */
const ACCUSATIONS: ReadonlySet<string> = new Set<DisconnectReason>(["corrupt piece", "banned"]);

export interface JoinedSwarmOptions {
  readonly pack: string;
  readonly peerId: PeerId;
  readonly role: PeerRole;
  readonly store: PieceStore;
  readonly log: SwarmLog;
  readonly now: () => Instant;
  readonly share: Share;
  readonly isUrgent: boolean;
  /** Opens a connection and calls `admit` or `dialFailed`. */
  readonly dial: (swarm: JoinedSwarm, peer: Introduction) => void;
  /** Other swarms of the process may go on. */
  readonly leaveRoom: (swarm: JoinedSwarm) => void;
  readonly left: (swarm: JoinedSwarm) => void;
}

interface Link {
  readonly connection: Connection;
  readonly role: PeerRole;
  /** The block that arrived last, until the machine says what becomes of it. */
  arrived: Buffer | undefined;
}

export class JoinedSwarm implements Swarm {
  readonly pack: string;
  readonly bytes = { fromRelay: 0, fromPeers: 0, sent: 0 };
  readonly #options: JoinedSwarmOptions;
  readonly #store: PieceStore;
  readonly #log: SwarmLog;
  readonly #machine: SwarmPeer;
  readonly #driver: Driver<SwarmInput, SwarmEffect>;
  readonly #links = new Map<PeerId, Link>();
  readonly #introduced = new Map<PeerId, Introduction>();
  readonly #listeners: SwarmListeners;
  readonly #work: BlockWork;
  readonly #announced = new Bitfield();
  #rowsKnown = 0;
  #hasLeft = false;
  #isUrgent: boolean;

  constructor(options: JoinedSwarmOptions) {
    this.#options = options;
    this.pack = options.pack;
    this.#store = options.store;
    this.#log = options.log;
    this.#listeners = new SwarmListeners(options.pack, (piece) => this.#store.has(piece));
    const { peerId: peer, role, share, isUrgent } = options;
    const seed = randomBytes(4).readUInt32LE();
    this.#isUrgent = isUrgent;
    this.#machine = new SwarmPeer({ peer, role, seed, share, isUrgent });
    this.#driver = new Driver(this.#machine, {
      now: options.now,
      perform: (effect) => this.#perform(effect),
    });
    this.#work = new BlockWork({
      pack: options.pack,
      store: options.store,
      log: options.log,
      input: (fact) => this.#driver.input(fact),
      verified: (piece) => this.#announce(piece),
      lost: (piece) => this.#lose(piece),
      failed: (failure) => this.#failed(failure),
    });
    this.#learnRows();
  }

  get failure(): SwarmFailure | undefined {
    return this.#work.failure;
  }

  extend(rows: Uint8Array): void {
    const count = this.#store.pieceCount + rows.length / PIECE_ROW_BYTES;
    // Parsing here keeps a malformed table out of the store; the limit is on the whole of it.
    new PieceTable(rows, `piece rows of pack ${this.pack} up to ${count}`);
    if (rows.length > 0) this.#store.extend(rows);
    this.#learnRows();
  }

  want(pieces: "all" | readonly number[]): void {
    this.#driver.input({ kind: "wanted", pieces });
  }

  urge(isUrgent: boolean): void {
    if (isUrgent === this.#isUrgent) return;
    this.#isUrgent = isUrgent;
    this.#driver.input({ kind: "urged", isUrgent });
  }

  stored(piece: number): void {
    this.#driver.input({ kind: "piece-added", piece });
    this.#announce(piece);
  }

  introduce(peers: readonly Introduction[]): void {
    const known = peers.filter((one) => one.peerId !== this.#options.peerId);
    for (const one of known) {
      this.#introduced.delete(one.peerId);
      this.#introduced.set(one.peerId, one);
    }
    for (const oldest of this.#introduced.keys()) {
      if (this.#introduced.size <= ADDRESSES_MAX) break;
      this.#introduced.delete(oldest);
    }
    const facts = known.map((one) => ({ peer: one.peerId, role: one.role }));
    this.#driver.input({ kind: "introduced", peers: facts });
  }

  forget(peerIds: readonly string[]): void {
    for (const peer of peerIds) this.#introduced.delete(peer);
    this.#driver.input({ kind: "forgotten", peers: peerIds });
  }

  onPiece(callback: (piece: number) => void): () => void {
    return this.#listeners.onPiece(callback);
  }

  onFailed(callback: (failure: SwarmFailure) => void): () => void {
    return this.#listeners.onFailed(callback);
  }

  onSeek(callback: () => void): () => void {
    return this.#listeners.onSeek(callback);
  }

  resume(): void {
    this.#work.resume();
    this.#driver.input({ kind: "resumed" });
  }

  whenHas(pieces: readonly number[]): Promise<void> {
    return this.#listeners.whenHas(pieces);
  }

  progress(): SwarmProgress {
    const { fromRelay, fromPeers } = this.bytes;
    return { ...this.#machine.progress, fromRelay, fromPeers };
  }

  peers(): number {
    return this.#links.size;
  }

  async leave(): Promise<void> {
    if (!this.#hasLeft) {
      this.#hasLeft = true;
      this.#driver.stop();
      this.#machine.leave();
      for (const [peer, link] of this.#links) this.#unlink(peer, link, "left the swarm");
      this.#options.left(this);
      this.#listeners.end();
    }
    await this.#work.settled();
  }

  /** Takes a connection whose other side has said hello, or closes it. */
  admit(connection: Connection, hello: Hello): void {
    const { peer } = hello;
    const existing = this.#links.get(peer);
    if (this.#hasLeft || peer === this.#options.peerId) {
      this.#turnAway(connection, peer, this.#hasLeft ? "left the swarm" : "it is yourself");
      return;
    }
    if (existing !== undefined) {
      if (!this.#isBetter(connection, existing.connection, peer)) {
        this.#turnAway(connection, peer, "connected already");
        return;
      }
      this.#unlink(peer, existing, "replaced by another connection");
      this.#driver.input({ kind: "disconnected", peer });
    }
    const role = this.#introduced.get(peer)?.role ?? hello.role;
    const link: Link = { connection, role, arrived: undefined };
    this.#links.set(peer, link);
    connection.greeted({
      frame: (frame) => this.#receive(peer, frame),
      block: (block, buffer) => this.#receiveBlock(peer, link, block, buffer),
      closed: (reason) => this.#closed(peer, link, reason),
    });
    this.#driver.input({ kind: "connected", peer, role });
  }

  /** Another swarm of the process leaves room to this one. */
  roomLeft(): void {
    this.#driver.input({ kind: "room-left" });
  }

  /** What is kept of its pack. */
  get kept(): StoredPack {
    return this.#store;
  }

  /** Compares a piece that is kept: one that has rotted is given to nobody, and fetched again. */
  scrub(piece: number): Promise<void> {
    return this.#work.scrub(piece);
  }

  /** A dial came to nothing. */
  dialFailed(peer: PeerId, reason: string): void {
    this.#log.debug({ pack: this.pack, peer, reason }, "dial failed");
    this.#driver.input({ kind: "dial-failed", peer });
  }

  /** Of two that dialled each other the connection of the lesser id stays, at both ends. */
  #isBetter(fresh: Connection, existing: Connection, peer: PeerId): boolean {
    if (fresh.isOutgoing === existing.isOutgoing) return true;
    return fresh.isOutgoing === this.#options.peerId < peer;
  }

  #turnAway(connection: Connection, peer: PeerId, reason: string): void {
    connection.close(reason);
    if (connection.isOutgoing) this.#driver.input({ kind: "dial-failed", peer });
  }

  #learnRows(): void {
    const bytes: number[] = [];
    const held: number[] = [];
    for (; this.#rowsKnown < this.#store.pieceCount; this.#rowsKnown += 1) {
      bytes.push(this.#store.pieceBytes(this.#rowsKnown));
      if (this.#store.has(this.#rowsKnown)) held.push(this.#rowsKnown);
    }
    if (bytes.length > 0) this.#driver.input({ kind: "extended", bytes });
    for (const piece of held) this.#driver.input({ kind: "piece-added", piece });
  }

  #receive(peer: PeerId, frame: Frame): void {
    switch (frame.kind) {
      case "alive":
        return;
      case "bye":
        this.#log.debug({ pack: this.pack, peer, reason: frame.reason }, "peer said bye");
        if (ACCUSATIONS.has(frame.reason)) this.#store.doubt?.();
        return;
      case "hello":
      case "note":
        return;
      default:
        this.#driver.input({ kind: "received", from: peer, message: frame });
    }
  }

  #receiveBlock(peer: PeerId, link: Link, block: Block, buffer: Buffer): void {
    if (link.role === "relay") this.bytes.fromRelay += block.bytes;
    else this.bytes.fromPeers += block.bytes;
    link.arrived = buffer;
    const { piece, offset, bytes } = block;
    const message = { kind: "block", piece, offset, bytes } as const;
    this.#driver.input({ kind: "received", from: peer, message });
  }

  #closed(peer: PeerId, link: Link, reason: string): void {
    if (this.#links.get(peer) !== link) return;
    this.#log.debug({ pack: this.pack, peer, reason }, "connection closed");
    this.#unlink(peer, link, reason);
    this.#driver.input({ kind: "disconnected", peer });
  }

  #unlink(peer: PeerId, link: Link, reason: string): void {
    this.#links.delete(peer);
    link.connection.close(reason);
    if (link.arrived !== undefined) link.connection.release(link.arrived);
    link.arrived = undefined;
  }

  #perform(effect: SwarmEffect): void {
    switch (effect.kind) {
      case "dial":
        this.#dial(effect.peer);
        return;
      case "seek":
        this.#listeners.seek();
        return;
      case "disconnect": {
        const { peer, reason } = effect;
        const link = this.#links.get(peer);
        this.#log.info({ pack: this.pack, peer, reason }, "disconnecting a peer");
        if (link !== undefined) this.#unlink(peer, link, reason);
        return;
      }
      case "send":
        this.#links.get(effect.to)?.connection.send(effect.message);
        return;
      case "send-block":
        this.#sendBlock(effect.to, effect);
        return;
      case "store-block":
        this.#storeBlock(effect.from, effect);
        return;
      case "drop-block": {
        const link = this.#links.get(effect.from);
        const buffer = link?.arrived;
        if (link === undefined || buffer === undefined) return;
        link.arrived = undefined;
        link.connection.release(buffer);
        return;
      }
      case "finish":
        this.#work.finish(effect.piece);
        return;
      case "discard":
        this.#store.discard(effect.piece);
        return;
      case "leave-room":
        this.#options.leaveRoom(this);
        return;
      default:
        effect satisfies never;
    }
  }

  #dial(peer: PeerId): void {
    const introduction = this.#introduced.get(peer);
    if (introduction === undefined) this.dialFailed(peer, "it was not introduced");
    else this.#options.dial(this, introduction);
  }

  #sendBlock(to: PeerId, block: Block): void {
    const link = this.#links.get(to);
    if (link === undefined) return;
    this.#work.send(to, link.connection, block, (fact) => {
      if (fact.kind === "block-sent") this.bytes.sent += block.bytes;
      if (this.#links.get(to) === link) this.#driver.input(fact);
    });
  }

  #storeBlock(from: PeerId, block: Block): void {
    const link = this.#links.get(from);
    const buffer = link?.arrived;
    if (link === undefined || buffer === undefined) {
      throw new Error(`no block of ${from} has arrived that could be stored`);
    }
    link.arrived = undefined;
    this.#work.store(from, link.connection, buffer, block);
  }

  #announce(piece: number): void {
    if (this.#announced.add(piece)) this.#listeners.piece(piece);
  }

  #lose(piece: number): void {
    this.#announced.remove(piece);
    this.#driver.input({ kind: "piece-lost", piece });
  }

  #failed(failure: SwarmFailure): void {
    if (this.#hasLeft) return;
    this.#log.warn({ pack: this.pack, failure }, "fetching paused: the store failed");
    this.#listeners.failed(failure);
  }
}
