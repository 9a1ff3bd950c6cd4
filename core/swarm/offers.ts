// What a peer offers to whom, paced by its uplink: while it is about to be idle, the neighbour whose turn
// it is hears of the rarest pieces here that it lacks, and asks for one of them or says that it needs
// none. So uplinks are busy while a neighbour lacks anything, nobody queues at one peer for what others
// could give as well, and what is new spreads first. A relay tells agents of nothing but what it offers,
// one piece each, and so gives each piece away once before it repeats itself.
import type { Instant } from "../machine.ts";
import { PIECES_MAX } from "../release/limits.ts";
import type { Alarm } from "./alarm.ts";
import { Bitfield } from "./bitfield.ts";
import type { SwarmEffect } from "./facts.ts";
import {
  BLOCK_BYTES_MAX,
  OFFER_MS,
  OFFERED_BLOCKS,
  OFFERED_PIECES,
  OUTSTANDING_MAX,
} from "./limits.ts";
import type { Block, PeerId, PeerRole } from "./message.ts";
import type { Neighbour } from "./neighbour.ts";
import { rarestPieces } from "./piece-choice.ts";
import type { Random } from "./random.ts";
import type { Uploads } from "./uploads.ts";

/** Offers taken up faster than a clock can tell count as so long. */
const OFFER_DELAY_MS_MIN = 0.01;
/** The least delay rises by so much an offer, so that a path that became longer is found out. */
const DELAY_RISE = 1.01;

/** Neighbours whose progress differs by less are served in turn. */
const PROGRESS_SHIFT = 4;

interface Listener {
  readonly neighbour: Neighbour;
  /** Pieces that it has, is getting or does not need. */
  readonly settled: Bitfield;
  /** What it is offered and has not answered, since when, and how much had been sent then. */
  offered: readonly number[];
  offeredAt: Instant;
  sentThen: number;
  /** Bytes of the piece that it took and has not asked for. */
  unaskedPiece: number;
  unaskedBytes: number;
  /** There is nothing to offer it, as far as we have looked since something became whole. */
  isServed: boolean;
  /** It left an offer alone: nothing is offered before. */
  pausedUntil: Instant;
}

export interface OffersOptions {
  readonly role: PeerRole;
  readonly random: Random;
  readonly alarm: Alarm;
  readonly have: Bitfield;
  readonly bytesOf: (piece: number) => number;
  /** Rows of the piece table. */
  readonly pieceCount: () => number;
  /** True when of all relays known here this one is to offer the piece first. */
  readonly isOurs: (piece: number) => boolean;
}

export class Offers {
  readonly #options: OffersOptions;
  readonly #listeners = new Map<PeerId, Listener>();
  /** In the order of turns. */
  readonly #turns: Listener[] = [];
  /** Twice the neighbours with whom a piece is settled, and one where another relay goes first. */
  readonly #rank = new Uint16Array(PIECES_MAX);
  /** Blocks offered and not answered, and blocks of pieces taken and not asked for. */
  #openBlocks = 0;
  #unaskedBlocks = 0;
  #sentBlocks = 0;
  /** Blocks that leave between an offer and its answer, so far as delay makes them. */
  #pipe = 0;
  #delayMs = Number.POSITIVE_INFINITY;

  constructor(options: OffersOptions) {
    this.#options = options;
  }

  add(now: Instant, neighbour: Neighbour): void {
    const listener: Listener = {
      neighbour,
      settled: new Bitfield(),
      offered: [],
      offeredAt: now,
      sentThen: 0,
      unaskedPiece: -1,
      unaskedBytes: 0,
      isServed: false,
      pausedUntil: now,
    };
    this.#listeners.set(neighbour.peer, listener);
    this.#turns.push(listener);
  }

  remove(peer: PeerId): void {
    const listener = this.#listeners.get(peer);
    if (listener === undefined) return;
    this.#listeners.delete(peer);
    this.#turns.splice(this.#turns.indexOf(listener), 1);
    this.#close(listener);
    this.#expect(listener, -1, 0);
    for (const piece of listener.settled.pieces()) this.#count(piece, -2);
  }

  /** A piece is here now. */
  complete(piece: number): void {
    if (!this.#options.isOurs(piece)) this.#count(piece, 1);
    for (const listener of this.#turns) listener.isServed = false;
  }

  /** A neighbour has a piece now, from here or elsewhere, or has it no more. */
  copied(peer: PeerId, piece: number, change: 1 | -1): void {
    const listener = this.#listeners.get(peer);
    if (listener === undefined) return;
    if (change > 0) this.#settle(listener, piece);
    else this.#unsettle(listener, piece);
  }

  /** A neighbour needs nothing of what it was offered, or gave up a piece that it had asked for. */
  declined(peer: PeerId, piece: number): void {
    const listener = this.#listeners.get(peer);
    if (listener === undefined) return;
    if (listener.offered.includes(piece)) {
      for (const one of listener.offered) this.#settle(listener, one);
      this.#close(listener);
    }
    this.#settle(listener, piece);
    if (listener.unaskedPiece === piece) this.#expect(listener, -1, 0);
  }

  /** A neighbour asked for a block of a piece. */
  asked(now: Instant, peer: PeerId, { piece, bytes }: Block): void {
    const listener = this.#listeners.get(peer);
    if (listener === undefined) return;
    if (listener.offered.length > 0) {
      this.#learn(now - listener.offeredAt, this.#sentBlocks - listener.sentThen);
      this.#close(listener);
    }
    this.#settle(listener, piece);
    const all =
      listener.unaskedPiece === piece ? listener.unaskedBytes : this.#options.bytesOf(piece);
    this.#expect(listener, piece, all - bytes);
  }

  sent(): void {
    this.#sentBlocks += 1;
  }

  /** Offers more while less than enough waits here to leave or is on its way. */
  make(now: Instant, uploads: Uploads, effects: SwarmEffect[]): void {
    const enough = Math.min(OUTSTANDING_MAX, OFFERED_BLOCKS + Math.ceil(this.#pipe));
    const pipe = Math.ceil(this.#pipe);
    while (
      uploads.waiting + this.#openBlocks + this.#unaskedBlocks < enough &&
      this.#openBlocks + this.#unaskedBlocks < uploads.room + pipe
    ) {
      const listener = this.#next(now, uploads);
      if (listener === undefined) return;
      const pieces = this.#choose(listener);
      if (pieces.length === 0) {
        listener.isServed = true;
        continue;
      }
      listener.offered = pieces;
      listener.offeredAt = now;
      listener.sentThen = this.#sentBlocks;
      this.#openBlocks += this.#blocksOf(pieces[0] ?? 0);
      if (this.#options.role === "relay") for (const piece of pieces) this.#settle(listener, piece);
      this.#options.alarm.set(now + OFFER_MS);
      const message = { kind: "offer", pieces } as const;
      effects.push({ kind: "send", to: listener.neighbour.peer, message });
    }
  }

  /** Ends offers that were not answered, so that others get them. */
  expire(now: Instant): void {
    for (const listener of this.#turns) {
      if (listener.offered.length === 0 || listener.offeredAt + OFFER_MS > now) continue;
      for (const piece of listener.offered) {
        if (!listener.neighbour.has.has(piece)) this.#unsettle(listener, piece);
      }
      this.#close(listener);
      listener.pausedUntil = now + OFFER_MS;
    }
  }

  /** Sets the alarm for when `expire` has something to do, or somebody may be offered something again. */
  setAlarm(now: Instant): void {
    for (const { offered, offeredAt, pausedUntil } of this.#turns) {
      if (offered.length > 0) this.#options.alarm.set(offeredAt + OFFER_MS);
      if (pausedUntil > now) this.#options.alarm.set(pausedUntil);
    }
  }

  /** Who owes no answer and takes least now; of such whoever is far behind, then the next in turn. */
  #next(now: Instant, uploads: Uploads): Listener | undefined {
    const { role } = this.#options;
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0; at < this.#turns.length; at += 1) {
      const one = this.#turns[at] as Listener;
      if (one.isServed || one.offered.length > 0 || one.pausedUntil > now) continue;
      const owed = uploads.owedTo(one.neighbour.peer) + (one.unaskedBytes > 0 ? 1 : 0);
      // A relay's turns go round: it is the only source of what it gives, and gives to all alike.
      const progress = role === "relay" ? 0 : one.settled.count >> PROGRESS_SHIFT;
      if (owed * PIECES_MAX + progress >= least) continue;
      best = at;
      least = owed * PIECES_MAX + progress;
      if (least === 0) break;
    }
    if (best < 0) return undefined;
    const [listener] = this.#turns.splice(best, 1);
    if (listener !== undefined) this.#turns.push(listener);
    return listener;
  }

  #choose({ settled }: Listener): number[] {
    const { role, have, random, pieceCount } = this.#options;
    if (role === "relay") return rarestPieces(have, settled, this.#rank, 0, 1);
    const start = Math.floor(random() * pieceCount());
    return rarestPieces(have, settled, this.#rank, start, OFFERED_PIECES);
  }

  /** Of what left meanwhile only so much is due to delay: the rest left while the offer waited. */
  #learn(tookMs: number, sentBlocks: number): void {
    const tookMsMin = Math.max(tookMs, OFFER_DELAY_MS_MIN);
    this.#delayMs = Math.min(tookMsMin, this.#delayMs * DELAY_RISE);
    this.#pipe = (3 * this.#pipe + (sentBlocks * this.#delayMs) / tookMsMin) / 4;
  }

  #close(listener: Listener): void {
    if (listener.offered.length === 0) return;
    this.#openBlocks -= this.#blocksOf(listener.offered[0] ?? 0);
    listener.offered = [];
  }

  #expect(listener: Listener, piece: number, unaskedBytes: number): void {
    this.#unaskedBlocks -= Math.ceil(listener.unaskedBytes / BLOCK_BYTES_MAX);
    listener.unaskedPiece = piece;
    listener.unaskedBytes = Math.max(0, unaskedBytes);
    this.#unaskedBlocks += Math.ceil(listener.unaskedBytes / BLOCK_BYTES_MAX);
  }

  #settle(listener: Listener, piece: number): void {
    if (listener.settled.add(piece)) this.#count(piece, 2);
  }

  #unsettle(listener: Listener, piece: number): void {
    if (!listener.settled.remove(piece)) return;
    this.#count(piece, -2);
    listener.isServed = false;
  }

  #count(piece: number, change: number): void {
    this.#rank[piece] = (this.#rank[piece] ?? 0) + change;
  }

  #blocksOf(piece: number): number {
    return Math.ceil(this.#options.bytesOf(piece) / BLOCK_BYTES_MAX);
  }
}
