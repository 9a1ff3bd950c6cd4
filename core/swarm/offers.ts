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
  OFFER_MS,
  OFFERED_BYTES,
  OFFERED_COUNT_MAX,
  OFFERED_PIECES,
  OUTSTANDING_MAX,
  PIPE_GAIN,
} from "./limits.ts";
import type { Block, PeerId, PeerRole } from "./message.ts";
import type { Neighbour } from "./neighbour.ts";
import { rarestPieces } from "./piece-choice.ts";
import type { Random } from "./random.ts";
import type { Uploads } from "./uploads.ts";

/** Of offers at least so many count as taken, so that nobody can have us offer without end. */
const TAKEN_MIN = 0.25;
/** Neighbours whose progress differs by less than 16 pieces are served in turn. */
const PROGRESS_SHIFT = 4;
/** Further behind is not slow but late. */
const LATE_PIECES = 64;

interface Listener {
  readonly neighbour: Neighbour;
  /** Pieces that it has, is getting or does not need. */
  readonly settled: Bitfield;
  /** What it is offered and has not answered, and since when. */
  offered: readonly number[];
  offeredAt: Instant;
  /** How many of them it may take. */
  offeredCount: number;
  /** Bytes of the piece that it took and has not asked for, and when it last asked. */
  unaskedPiece: number;
  unaskedBytes: number;
  askedAt: Instant;
  /** Of a relay's: pieces that it asked for, since when, and such that it had time to tell of and did not. */
  readonly given: Map<number, Instant>;
  readonly doubted: Bitfield;
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
  /** Bytes offered and not answered, and bytes of pieces taken and not asked for. */
  #openBytes = 0;
  #unaskedBytes = 0;
  /** Share of offers that are taken. */
  #taken = 1;

  constructor(options: OffersOptions) {
    this.#options = options;
  }

  add(now: Instant, neighbour: Neighbour): void {
    const listener: Listener = {
      neighbour,
      settled: new Bitfield(),
      offered: [],
      offeredAt: now,
      offeredCount: 0,
      unaskedPiece: -1,
      unaskedBytes: 0,
      askedAt: now,
      given: new Map(),
      doubted: new Bitfield(),
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
    for (const piece of listener.settled.pieces()) {
      if (!listener.doubted.has(piece)) this.#count(piece, -2);
    }
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
    listener.given.delete(piece);
    if (listener.doubted.remove(piece)) this.#count(piece, 2);
    if (change > 0) this.#settle(listener, piece);
    else this.#unsettle(listener, piece);
    if (listener.unaskedPiece === piece) this.#expect(listener, -1, 0);
  }

  /** A neighbour needs nothing of what it was offered. */
  declined(peer: PeerId, piece: number): void {
    const listener = this.#listeners.get(peer);
    if (listener?.offered.includes(piece) !== true) return;
    this.#learn(0);
    for (const one of listener.offered) this.#settle(listener, one);
    this.#close(listener);
  }

  /** A neighbour gave up a piece that it had asked for. */
  givenUp(peer: PeerId, piece: number): void {
    const listener = this.#listeners.get(peer);
    if (listener === undefined) return;
    this.#settle(listener, piece);
    if (listener.unaskedPiece === piece) this.#expect(listener, -1, 0);
  }

  /** A neighbour asked for a block of a piece. */
  asked(now: Instant, peer: PeerId, { piece, bytes }: Block): void {
    const listener = this.#listeners.get(peer);
    if (listener === undefined) return;
    if (listener.offered.includes(piece)) {
      this.#learn(1);
      this.#close(listener);
    }
    this.#settle(listener, piece);
    if (this.#options.role === "relay") {
      listener.given.set(piece, now);
      this.#options.alarm.set(now + OFFER_MS);
    }
    const all =
      listener.unaskedPiece === piece ? listener.unaskedBytes : this.#options.bytesOf(piece);
    this.#expect(listener, piece, all - bytes);
    listener.askedAt = now;
    if (listener.unaskedBytes > 0) this.#options.alarm.set(now + OFFER_MS);
  }

  /** Offers more while less than enough waits here to leave or is on its way. */
  make(now: Instant, uploads: Uploads, effects: SwarmEffect[]): void {
    const { waitingBytes, roomBytes, pipeBytes, blockBytes } = uploads;
    const ahead = Math.min(OUTSTANDING_MAX * blockBytes, (PIPE_GAIN * pipeBytes) / this.#taken);
    // Who takes a large piece asks for the rest of it little by little: one more is offered beside it.
    const large = Math.max(0, this.#options.bytesOf(0) - OFFERED_BYTES);
    const openMax = ahead + large + Math.min(OFFERED_BYTES - waitingBytes, roomBytes);
    while (this.#openBytes + this.#unaskedBytes < openMax) {
      const listener = this.#next(now);
      if (listener === undefined) return;
      const count = this.#countOf(ahead / this.#turns.length);
      const pieces = this.#choose(listener, count);
      if (pieces.length === 0) {
        listener.isServed = true;
        continue;
      }
      listener.offered = pieces;
      listener.offeredAt = now;
      listener.offeredCount = count;
      this.#openBytes += this.#bytesOffered(listener);
      if (this.#options.role === "relay") for (const piece of pieces) this.#settle(listener, piece);
      this.#options.alarm.set(now + OFFER_MS);
      const message = { kind: "offer", count: listener.offeredCount, pieces } as const;
      effects.push({ kind: "send", to: listener.neighbour.peer, message });
    }
  }

  /** Ends offers that were not answered, so that others get them. */
  expire(now: Instant): void {
    for (const listener of this.#turns) {
      this.#doubt(now, listener);
      if (this.#isForgotten(now, listener)) this.#expect(listener, -1, 0);
      if (listener.offered.length === 0 || listener.offeredAt + OFFER_MS > now) continue;
      for (const piece of listener.offered) {
        if (!listener.neighbour.has.has(piece)) this.#unsettle(listener, piece);
      }
      this.#close(listener);
      listener.pausedUntil = now + OFFER_MS;
    }
  }

  /** It took a piece, got all that it asked of it, and asked no more for a while: nothing waits for it. */
  #isForgotten(now: Instant, { unaskedBytes, askedAt, neighbour }: Listener): boolean {
    return unaskedBytes > 0 && neighbour.owed === 0 && askedAt + OFFER_MS <= now;
  }

  /** What was given and is not told of may never be passed on: its piece is offered to others too. */
  #doubt(now: Instant, { given, doubted }: Listener): void {
    for (const [piece, at] of given) {
      if (at + OFFER_MS > now) continue;
      given.delete(piece);
      if (doubted.add(piece)) this.#count(piece, -2);
    }
  }

  /** Sets the alarm for when `expire` has something to do, or somebody may be offered something again. */
  setAlarm(now: Instant): void {
    for (const { offered, offeredAt, pausedUntil, given, unaskedBytes, askedAt } of this.#turns) {
      if (unaskedBytes > 0) this.#options.alarm.set(Math.max(askedAt, now) + OFFER_MS);
      for (const at of given.values()) this.#options.alarm.set(at + OFFER_MS);
      if (offered.length > 0) this.#options.alarm.set(offeredAt + OFFER_MS);
      if (pausedUntil > now) this.#options.alarm.set(pausedUntil);
    }
  }

  /**
   * Who owes no answer and takes least now; of such whoever is a little behind, then the next in turn.
   * For a relay, the only source of what it gives, all are alike but for those that pass nothing on.
   */
  #next(now: Instant): Listener | undefined {
    const { role } = this.#options;
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0; at < this.#turns.length; at += 1) {
      const one = this.#turns[at] as Listener;
      if (one.isServed || one.offered.length > 0 || one.pausedUntil > now) continue;
      const owed = one.neighbour.owed + (one.unaskedBytes > 0 ? 1 : 0) + one.doubted.count;
      const progress = role === "relay" ? 0 : this.#progressOf(one);
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

  /** Whoever is a little behind goes first; who is far behind came late, and is served like all. */
  #progressOf({ settled }: Listener): number {
    const { count } = this.#options.have;
    const isLate = settled.count < count - LATE_PIECES;
    return (isLate ? count : settled.count) >> PROGRESS_SHIFT;
  }

  #choose({ settled }: Listener, count: number): number[] {
    const { role, have, random, pieceCount } = this.#options;
    if (role === "relay") return rarestPieces(have, settled, this.#rank, 0, count);
    const start = Math.floor(random() * pieceCount());
    return rarestPieces(have, settled, this.#rank, start, count * OFFERED_PIECES);
  }

  #learn(taken: 0 | 1): void {
    this.#taken = Math.max(TAKEN_MIN, (15 * this.#taken + taken) / 16);
  }

  #close(listener: Listener): void {
    if (listener.offered.length === 0) return;
    this.#openBytes -= this.#bytesOffered(listener);
    listener.offered = [];
  }

  #expect(listener: Listener, piece: number, unaskedBytes: number): void {
    this.#unaskedBytes -= listener.unaskedBytes;
    listener.unaskedPiece = piece;
    listener.unaskedBytes = Math.max(0, unaskedBytes);
    this.#unaskedBytes += listener.unaskedBytes;
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

  /** Pieces that one offer gives, so that its bytes are about as many; those of a pack are alike. */
  #countOf(bytes: number): number {
    const count = Math.ceil(bytes / Math.max(1, this.#options.bytesOf(0)));
    return Math.min(OFFERED_COUNT_MAX, Math.max(1, count));
  }

  #bytesOffered({ offered, offeredCount }: Listener): number {
    return offeredCount * this.#options.bytesOf(offered[0] ?? 0);
  }
}
