// The packs of a simulated fleet as swarms: which piece lies in which segment, and the peers of relays and agents,
// one for each pack and program, which run on the swarm simulator's network.
import type { Instant } from "../../core/machine.ts";
import type { Conduct } from "../conduct.ts";
import type { SimulatedPeer } from "../simulated-peer.ts";
import { SwarmWorld } from "../swarm-world.ts";
import type { Timeline } from "./process.ts";
import { hold } from "./violation.ts";

/** A pack has so many pieces, in so many segments. */
const PIECES = 12;
export const SEGMENTS = 3;
const PIECES_A_SEGMENT = PIECES / SEGMENTS;
const PIECE_BYTES = 64 * 1024;
export const SEGMENT_BYTES = PIECES_A_SEGMENT * PIECE_BYTES;
export const PACK_BYTES = PIECES * PIECE_BYTES;
/** Bytes a millisecond of each NIC: 20 Mbit/s, so that a pack takes a third of a second. */
const NIC_RATE = 2_500;
/** Events at one instant: fifty machines that hear of a pack at once have some thousands. */
const EVENTS_AN_INSTANT_MAX = 100_000;

/** The pack of a release, or of an attempt. */
export const packNamed = (name: string): string => `pack-${name}`;

export class RegionPacks implements Timeline {
  readonly world: SwarmWorld;
  /** Whether the next block that arrives anywhere has been changed on its way. */
  flippedShare = 0;
  /** Peers that gave their pack up. */
  readonly #dropped = new Set<string>();
  #isTouched = false;
  #eventsAtOnce = 0;

  constructor(seed: number, random: () => number) {
    this.world = new SwarmWorld({
      pieceBytes: Array<number>(PIECES).fill(PIECE_BYTES),
      seed,
      roundTripMs: 1,
      setUpMs: 2,
      runBytes: PIECE_BYTES,
      sendBufferBytes: 4 * PIECE_BYTES,
      windowBytes: 1024 * 1024,
      isFifo: false,
      bucketMs: 4,
      isFlipped: () => this.flippedShare > 0 && random() < this.flippedShare,
    });
  }

  get now(): Instant {
    return this.world.now;
  }

  at(instant: Instant, call: () => void): void {
    this.world.at(instant, () => {
      this.#isTouched = true;
      call();
    });
  }

  /**
   * Runs up to the next event that does something to the fleet, and that one; false: there is none up to `until`. What
   * peers of a pack do to each other is nothing to it before it looks. Throws where time stands still.
   */
  step(until: Instant): boolean {
    this.#isTouched = false;
    while (!this.#isTouched) {
      const before = this.now;
      if (!this.world.step(until)) return false;
      this.#eventsAtOnce = before === this.now ? this.#eventsAtOnce + 1 : 0;
      hold(this.#eventsAtOnce < EVENTS_AN_INSTANT_MAX, "time goes on", () => {
        return `${this.#eventsAtOnce} events at one instant`;
      });
    }
    return true;
  }

  /** The peer of a program in a pack's swarm; made when it is asked for first. */
  peer(program: string, pack: string, role: "relay" | "agent", conduct?: Conduct): SimulatedPeer {
    const id = peerId(program, pack);
    const known = this.world.peers.get(id);
    if (known !== undefined) {
      if (this.#dropped.delete(id)) this.world.restart(known);
      return known;
    }
    return this.world.join({ id, role, conduct, upRate: NIC_RATE, downRate: NIC_RATE });
  }

  /** The peer, if it has one there. */
  find(program: string, pack: string): SimulatedPeer | undefined {
    return this.world.peers.get(peerId(program, pack));
  }

  /** A peer is told of others of the same pack, those that have peers. */
  introduce(peer: SimulatedPeer, pack: string, programs: readonly string[]): void {
    const others = programs.flatMap((program) => this.find(program, pack) ?? []);
    if (others.length > 0) this.world.introduce(peer, others);
  }

  /** A peer leaves the swarm of a pack, for good. */
  leave(program: string, pack: string): void {
    const peer = this.find(program, pack);
    if (peer?.isUp === true) this.world.kill(peer);
  }

  /** A program gives a pack up: its pieces are gone, and it is in the swarm no more until it asks for its peer again. */
  drop(program: string, pack: string): void {
    const peer = this.find(program, pack);
    if (peer === undefined || this.#dropped.has(peer.id)) return;
    for (const piece of [...peer.held.pieces()]) this.world.lose(peer, piece);
    if (peer.isUp) this.world.kill(peer);
    this.#dropped.add(peer.id);
  }

  /** Packs of which a program has something, or is in the swarm. */
  heldBy(program: string): readonly string[] {
    const peers = [...this.#of(program)].filter(({ id }) => !this.#dropped.has(id));
    return peers.map(({ id }) => id.slice(program.length + 1));
  }

  /** Bytes of whole pieces that a program has of a pack. */
  bytesOf(program: string, pack: string): number {
    return (this.find(program, pack)?.held.count ?? 0) * PIECE_BYTES;
  }

  /** The program is gone: its connections break. */
  down(program: string): void {
    for (const peer of this.#of(program)) if (peer.isUp) this.world.kill(peer);
  }

  /** The program is there again, with the whole pieces that it had. */
  up(program: string): void {
    for (const peer of this.#of(program)) {
      if (!peer.isUp && !this.#dropped.has(peer.id)) this.world.restart(peer);
    }
  }

  /** Nothing gets between the peers of two programs before that. */
  clog(one: string, other: string, until: Instant): void {
    for (const peer of this.#of(one)) {
      for (const link of peer.links.values()) {
        if (link.other.id.startsWith(`${other}/`)) this.world.clog(peer, link.other, until);
      }
    }
  }

  /** Pieces of a segment. */
  piecesOf(segment: number): readonly number[] {
    return Array.from({ length: PIECES_A_SEGMENT }, (_, at) => segment * PIECES_A_SEGMENT + at);
  }

  isWhole(peer: SimulatedPeer): boolean {
    return peer.held.count === PIECES;
  }

  *#of(program: string): Generator<SimulatedPeer, void, void> {
    for (const peer of this.world.peers.values()) {
      if (peer.id.startsWith(`${program}/`)) yield peer;
    }
  }
}

function peerId(program: string, pack: string): string {
  return `${program}/${pack}`;
}
