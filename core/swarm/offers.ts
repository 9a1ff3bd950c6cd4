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
  LARGE_OFFERED,
  OFFER_MS,
  OFFERED_COUNT_MAX,
  OFFERED_PIECES,
  OUTSTANDING_MAX,
  PASS_ON_MS,
  PIPE_GAIN,
  UNTOLD_MAX,
} from "./limits.ts";
import { type Listener, newListener } from "./listener.ts";
import type { Block, PeerRole } from "./message.ts";
import type { Neighbour } from "./neighbour.ts";
import type { OwnPieces } from "./own-pieces.ts";
import { rarestPieces } from "./piece-choice.ts";
import type { Random } from "./random.ts";
import { RestingPieces } from "./resting-pieces.ts";
import type { Spread } from "./spread.ts";
import { Turns } from "./turns.ts";
import type { Uploads } from "./uploads.ts";

/** Added to the rank of a resting piece: more than twice the neighbours of a relay. */
const RESTING_RANK = 1_024;
/** In the count of a piece one neighbour that has it, or was given it. */
const GIVEN_COUNT = 2;
/** Of offers at least so many count as taken, so that nobody can have us offer without end. */
const TAKEN_MIN = 0.25;

export interface OffersOptions {
  readonly role: PeerRole;
  readonly neighboursMax: number;
  readonly random: Random;
  readonly alarm: Alarm;
  readonly pieces: OwnPieces;
  /**
   * Kept here: twice the neighbours with whom a piece is settled, and one where another relay goes first. Of
   * pieces that are not here that is twice the neighbours that have them.
   */
  readonly spread: Spread;
  /** True when of all relays known here this one is to offer the piece first. */
  readonly isOurs: (piece: number) => boolean;
}

export class Offers {
  readonly #isRelay: boolean;
  readonly #alarm: Alarm;
  readonly #random: Random;
  readonly #isOurs: OffersOptions["isOurs"];
  readonly #pieces: OwnPieces;
  readonly #spread: Spread;
  readonly #turns: Turns;
  /** By the neighbour's place. */
  readonly #listeners: (Listener | undefined)[] = [];
  /** Those that there was nothing to offer to when their turn came. */
  #served: Listener[] = [];
  /** Of a relay alone: what it gave a moment ago. */
  readonly #resting: RestingPieces | undefined;
  /** When it last gave a piece that nobody had. */
  #freshAt = Number.NEGATIVE_INFINITY;
  /** Bytes offered and not answered, and bytes of pieces taken and not asked for. */
  #openBytes = 0;
  #unaskedBytes = 0;
  /** Share of offers that are taken. */
  #taken = 1;

  constructor(options: OffersOptions) {
    this.#isRelay = options.role === "relay";
    this.#alarm = options.alarm;
    this.#random = options.random;
    this.#isOurs = options.isOurs;
    this.#pieces = options.pieces;
    this.#spread = options.spread;
    this.#turns = new Turns(options.neighboursMax);
    this.#resting = this.#isRelay ? new RestingPieces() : undefined;
  }

  /** A neighbour connected; `settled` is empty, and kept here from now on. */
  add(now: Instant, neighbour: Neighbour, settled: Bitfield): void {
    const listener = newListener(now, neighbour, settled);
    this.#listeners[neighbour.place] = listener;
    this.#turns.add(neighbour.place);
    this.#turn(listener);
  }

  remove({ place }: Neighbour): void {
    const listener = this.#listeners[place];
    if (listener === undefined) return;
    this.#listeners[place] = undefined;
    this.#turns.remove(place);
    this.#close(listener);
    this.#expect(listener, -1, 0);
    for (const piece of listener.settled.pieces()) {
      if (listener.doubted?.has(piece) !== true) this.#count(piece, -2);
    }
    this.#unserve(listener);
  }

  /** A piece is here now. */
  complete(piece: number): void {
    if (!this.#isOurs(piece)) this.#count(piece, 1);
    this.#lookAgain();
  }

  /** A neighbour has a piece now, from here or elsewhere, or has it no more. After the last of them comes `turn`. */
  copied({ place }: Neighbour, piece: number, change: 1 | -1): void {
    const listener = this.#listeners[place];
    if (listener === undefined) return;
    const { given, doubted } = listener;
    if (change > 0) listener.untold = Math.max(0, listener.untold - 1);
    given?.delete(piece);
    if (doubted?.remove(piece)) this.#count(piece, 2);
    if (change > 0) this.#settle(listener, piece);
    else this.#unsettle(listener, piece);
    if (listener.unaskedPiece === piece) this.#expect(listener, -1, 0);
  }

  /** A neighbour needs nothing of what it was offered. */
  declined({ place }: Neighbour, piece: number): void {
    const listener = this.#listeners[place];
    if (listener?.offered.includes(piece) !== true) return;
    this.#learn(0);
    for (const one of listener.offered) this.#settle(listener, one);
    this.#close(listener);
    this.#turn(listener);
  }

  /** A neighbour gave up a piece that it had asked for. */
  givenUp({ place }: Neighbour, piece: number): void {
    const listener = this.#listeners[place];
    if (listener === undefined) return;
    this.#settle(listener, piece);
    if (listener.unaskedPiece === piece) this.#expect(listener, -1, 0);
    this.#turn(listener);
  }

  /** A neighbour asked for a block of a piece. */
  asked(now: Instant, { place }: Neighbour, { piece, bytes }: Block): void {
    const listener = this.#listeners[place];
    if (listener === undefined) return;
    if (listener.offered.includes(piece)) {
      this.#learn(1);
      this.#close(listener);
      // Relays tell agents nothing.
      if (!this.#isRelay && listener.neighbour.role === "agent") listener.untold += 1;
    }
    this.#settle(listener, piece);
    if (this.#isRelay) {
      listener.given ??= new Map();
      listener.given.set(piece, now);
      this.#alarm.set(now + OFFER_MS);
    }
    const all =
      listener.unaskedPiece === piece ? listener.unaskedBytes : this.#pieces.bytesOf(piece);
    this.#expect(listener, piece, all - bytes);
    listener.askedAt = now;
    if (listener.unaskedBytes > 0) this.#alarm.set(now + OFFER_MS);
    this.#turn(listener);
  }

  /** What a neighbour has, or is owed, has changed. */
  turn({ place }: Neighbour): void {
    const listener = this.#listeners[place];
    if (listener !== undefined) this.#turn(listener);
  }

  /** Offers more while less than enough waits here to leave or is on its way. */
  make(now: Instant, uploads: Uploads, effects: SwarmEffect[]): void {
    if (this.#resting !== undefined && this.#resting.restedAt <= now)
      this.#wake(now, this.#resting);
    const { waitingBytes, roomBytes, pipeBytes, blockBytes } = uploads;
    const ahead = Math.min(OUTSTANDING_MAX * blockBytes, (PIPE_GAIN * pipeBytes) / this.#taken);
    const large = this.#pieces.isOfBlocks ? LARGE_OFFERED * this.#pieces.bytesOf(0) : 0;
    const beside = Math.max(0, large - uploads.offeredBytesMax);
    const wanted = ahead + beside + Math.min(uploads.offeredBytes - waitingBytes, roomBytes);
    const openMax = uploads.isHeld ? 0 : wanted;
    const againMax = ahead + beside + this.#pieces.bytesOf(0) - waitingBytes;
    const isFresh = this.#isRelay && this.#freshAt + PASS_ON_MS > now;
    uploads.want(false);
    while (this.#openBytes + this.#unaskedBytes < openMax) {
      const place = this.#turns.next(this.#pieces.have.count);
      if (place === undefined) return;
      const listener = this.#listeners[place] as Listener;
      const count = this.#countOf(ahead / this.#turns.count);
      const pieces = this.#choose(now, listener, count);
      // While something new goes out, what others can pass on goes out again when nothing else would.
      const isAgain = isFresh && pieces.length > 0 && this.#isGiven(pieces[0] as number);
      if (isAgain && this.#openBytes + this.#unaskedBytes >= againMax) {
        this.#alarm.set(this.#freshAt + PASS_ON_MS);
        return;
      }
      this.#turns.close(place);
      if (pieces.length === 0) {
        listener.isServed = true;
        this.#served.push(listener);
        continue;
      }
      listener.offered = pieces;
      listener.offeredAt = now;
      listener.offeredCount = count;
      this.#openBytes += this.#bytesOffered(listener);
      if (this.#isRelay) this.#give(now, listener);
      this.#alarm.set(now + OFFER_MS);
      const message = { kind: "offer", count: listener.offeredCount, pieces } as const;
      effects.push({ kind: "send", to: listener.neighbour.peer, message });
    }
    uploads.want(true);
  }

  /** Ends offers that were not answered, so that others get them. */
  expire(now: Instant): void {
    // Who got nothing for a while may have what rests.
    if (this.#isRelay) this.#lookAgain();
    for (const listener of this.#listeners) {
      if (listener === undefined) continue;
      this.#doubt(now, listener);
      if (this.#isForgotten(now, listener)) this.#expect(listener, -1, 0);
      if (listener.offered.length > 0 && listener.offeredAt + OFFER_MS <= now) {
        for (const piece of listener.offered) {
          if (!listener.neighbour.has.has(piece)) this.#unsettle(listener, piece);
        }
        this.#close(listener);
        listener.pausedUntil = now + OFFER_MS;
      } else if (listener.pausedUntil !== undefined && listener.pausedUntil <= now) {
        listener.pausedUntil = undefined;
      }
      this.#turn(listener);
    }
  }

  /** It took a piece, got all that it asked of it, and asked no more for a while: nothing waits for it. */
  #isForgotten(now: Instant, { unaskedBytes, askedAt, neighbour }: Listener): boolean {
    return unaskedBytes > 0 && neighbour.owed === 0 && askedAt + OFFER_MS <= now;
  }

  /** What was given and is not told of may never be passed on: its piece is offered to others too. */
  #doubt(now: Instant, listener: Listener): void {
    const { given } = listener;
    if (given === undefined) return;
    for (const [piece, at] of given) {
      if (at + OFFER_MS > now) continue;
      given.delete(piece);
      listener.doubted ??= new Bitfield();
      if (listener.doubted.add(piece)) this.#count(piece, -2);
    }
  }

  /** Sets the alarm for when `expire` has something to do, or somebody may be offered something again. */
  setAlarm(now: Instant): void {
    const alarm = this.#alarm;
    for (const listener of this.#listeners) {
      if (listener === undefined) continue;
      const { offered, offeredAt, pausedUntil, given, unaskedBytes, askedAt } = listener;
      if (unaskedBytes > 0) alarm.set(Math.max(askedAt, now) + OFFER_MS);
      if (given !== undefined) for (const at of given.values()) alarm.set(at + OFFER_MS);
      if (offered.length > 0) alarm.set(offeredAt + OFFER_MS);
      if (pausedUntil !== undefined) alarm.set(pausedUntil);
    }
  }

  /** Tells the turns what a listener takes now; each change of one ends with this. */
  #turn(listener: Listener): void {
    const { neighbour, settled, offered, unaskedBytes, doubted, untold, isServed, pausedUntil } =
      listener;
    if (isServed || offered.length > 0 || pausedUntil !== undefined) {
      this.#turns.close(neighbour.place);
      return;
    }
    const taking = neighbour.owed + (unaskedBytes > 0 ? 1 : 0);
    const load = taking + (doubted?.count ?? 0) + (untold > UNTOLD_MAX ? untold : 0);
    // To a relay, the only source of what it gives, all are alike; and nobody makes haste for who passes nothing on.
    const isAlike = this.#isRelay || untold > UNTOLD_MAX;
    this.#turns.open(neighbour.place, load, isAlike ? PIECES_MAX : settled.count);
  }

  #choose(now: Instant, { settled, givenAt }: Listener, count: number): number[] {
    const { have } = this.#pieces;
    const { counts } = this.#spread;
    const resting = this.#resting;
    if (resting !== undefined) {
      const pieces = rarestPieces(have, settled, counts, 0, count);
      // Who got nothing for a while has nobody that passes anything on.
      if (givenAt + PASS_ON_MS <= now) return pieces;
      const fresh = pieces.filter((piece) => !resting.has(piece));
      if (fresh.length < pieces.length) {
        this.#alarm.set(Math.min(resting.restedAt, givenAt + PASS_ON_MS));
      }
      return fresh;
    }
    const start = Math.floor(this.#random() * this.#pieces.count);
    return rarestPieces(have, settled, counts, start, count * OFFERED_PIECES);
  }

  /** A neighbour has it, or was given it. */
  #isGiven(piece: number): boolean {
    return this.#spread.of(piece) >= GIVEN_COUNT;
  }

  /** Pieces of a relay rest once they are given. */
  #give(now: Instant, listener: Listener): void {
    listener.givenAt = now;
    for (const piece of listener.offered) {
      if (!this.#isGiven(piece)) this.#freshAt = now;
      this.#settle(listener, piece);
      if (this.#resting?.add(now, piece)) this.#count(piece, RESTING_RANK);
    }
  }

  /** Pieces have rested: whoever lacks them may have them. */
  #wake(now: Instant, resting: RestingPieces): void {
    for (const piece of resting.rested(now)) this.#count(piece, -RESTING_RANK);
    this.#lookAgain();
  }

  /** There may be something for those that there was nothing to offer to. */
  #lookAgain(): void {
    // Popped one by one, as a new length of 0 takes longer.
    for (let last = this.#served.pop(); last !== undefined; last = this.#served.pop()) {
      last.isServed = false;
      this.#turn(last);
    }
  }

  #unserve(listener: Listener): void {
    if (!listener.isServed) return;
    listener.isServed = false;
    this.#served = this.#served.filter((one) => one !== listener);
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
    this.#unserve(listener);
  }

  #count(piece: number, change: number): void {
    this.#spread.count(piece, change);
  }

  /** Pieces that one offer gives, so that its bytes are about as many; those of a pack are alike. */
  #countOf(bytes: number): number {
    const count = Math.ceil(bytes / Math.max(1, this.#pieces.bytesOf(0)));
    return Math.min(OFFERED_COUNT_MAX, Math.max(1, count));
  }

  #bytesOffered({ offered, offeredCount }: Listener): number {
    return offeredCount * this.#pieces.bytesOf(offered[0] ?? 0);
  }
}
