// What becomes of pieces coming here: blocks that arrive or are overdue, refusals, sources that are
// lost, pieces that turn out corrupt. Who is a neighbour and who is banned is the machine's.

import type { Instant } from "../machine.ts";
import type { Alarm } from "./alarm.ts";
import { type AskingView, ask } from "./asking.ts";
import type { SwarmEffect } from "./facts.ts";
import { type Fetch, giversOf, isAtRest, noteGiver } from "./fetch.ts";
import { FetchTable } from "./fetch-table.ts";
import type { LanePlace } from "./lane.ts";
import {
  BRISK_MS_MAX,
  BUSY_MS,
  LATE_MS_MIN,
  PIECE_RETRY_MS,
  REQUEST_MS_MAX,
  TIMED_OUT_MS,
} from "./limits.ts";
import type { Block, Message, PeerId } from "./message.ts";
import {
  fetchOf,
  isSlow,
  type Neighbour,
  noteBlock,
  noteStored,
  waitingFrom,
} from "./neighbour.ts";
import type { Offers } from "./offers.ts";
import type { OwnPieces } from "./own-pieces.ts";
import { Pace } from "./pace.ts";
import type { Random } from "./random.ts";
import { take } from "./short-list.ts";
import type { Spread } from "./spread.ts";

type MessageOf<Kind extends Message["kind"]> = Extract<Message, { readonly kind: Kind }>;

const GOT = { kind: "got" } as const;

export interface DownloadsOptions {
  readonly random: Random;
  readonly alarm: Alarm;
  readonly lane: LanePlace;
  readonly neighbours: ReadonlyMap<PeerId, Neighbour>;
  /** Of a piece that is not here: twice the neighbours that have it. */
  readonly spread: Spread;
  /** Hears of each change of what neighbours have. */
  readonly offers: Pick<Offers, "copied" | "turn">;
  readonly pieces: OwnPieces;
}

export class Downloads {
  readonly #random: Random;
  readonly #alarm: Alarm;
  readonly #lane: LanePlace;
  readonly #neighbours: ReadonlyMap<PeerId, Neighbour>;
  readonly #offers: DownloadsOptions["offers"];
  readonly #table: FetchTable;
  readonly #pace = new Pace();
  readonly #offering: Neighbour[] = [];
  readonly #early: Neighbour[] = [];
  readonly #slow: Neighbour[] = [];
  readonly #view: AskingView;
  #isPaused = false;

  constructor(options: DownloadsOptions) {
    this.#random = options.random;
    this.#alarm = options.alarm;
    this.#lane = options.lane;
    this.#neighbours = options.neighbours;
    this.#offers = options.offers;
    this.#table = new FetchTable(options);
    this.#view = {
      ...options,
      offering: this.#offering,
      early: this.#early,
      slow: this.#slow,
      table: this.#table,
      pace: this.#pace,
    };
  }

  /** Makes missing pieces wait for a source. */
  miss(pieces: readonly number[]): void {
    this.#table.miss(pieces);
  }

  /** The table gets more rows: offers that waited for some are looked at with the next that is asked. */
  extending(): void {
    this.#offering.push(...this.#early.splice(0));
  }

  /** Notes that a neighbour has pieces; false when none of them is news. */
  noteHas(neighbour: Neighbour, pieces: readonly number[]): boolean {
    const { has } = neighbour;
    const { count } = has;
    for (const piece of pieces) if (has.add(piece)) this.#offers.copied(neighbour, piece, 1);
    if (has.count === count) return false;
    this.#offers.turn(neighbour);
    neighbour.isDry = false;
    return true;
  }

  /** Nothing is coming, or all that is missing is: news of what neighbours have may change that. */
  get isStarved(): boolean {
    return this.#table.outstanding === 0 || this.#table.waiting.count === 0;
  }

  /**
   * Tells the other swarms of the process whether this one waits for the limit; true when they may ask more. What
   * is asked and has not come counts for nothing: it waits at senders, while the downlink may be idle.
   */
  note(): boolean {
    return this.#lane.note(0);
  }

  /** The swarm goes before the others of the process from now on, or is one of them. */
  urge(isUrgent: boolean): void {
    this.#lane.urge(isUrgent);
  }

  /** The swarm is left. */
  leave(): void {
    this.#lane.leave();
  }

  /** Asks for as much as may be asked now. */
  ask(now: Instant, effects: SwarmEffect[]): void {
    if (this.#isPaused) return;
    const table = this.#table;
    const alarm = this.#alarm;
    const { outstanding } = table;
    ask(this.#view, now, effects);
    if (table.outstanding > outstanding) alarm.set(now + BRISK_MS_MAX);
    // By time alone an idle neighbour becomes the sooner one, until its source counts as slow in any case.
    if (table.waiting.count === 0 && table.sources.some((one) => !isSlow(one, now))) {
      alarm.set(now + LATE_MS_MIN);
    }
  }

  /** Takes a block that came; false when it was never asked, or is not the next of its piece. */
  receive(now: Instant, from: Neighbour, block: Block, effects: SwarmEffect[]): boolean {
    effects.push({ kind: "send", to: from.peer, message: GOT });
    const fetch = fetchOf(from, block.piece);
    // What was given up and is asked again may come twice: what is not next now was under way before.
    const isNext = fetch?.arrived === block.offset;
    const askedAt = isNext ? from.requests.take(block) : undefined;
    if (fetch !== undefined && askedAt !== undefined) {
      this.#table.answered();
      this.#takeNext(now, from, fetch, block, askedAt, effects);
      return true;
    }
    const givenUpAt = from.cancelled.take(block);
    const late = givenUpAt === undefined ? undefined : this.#lateFor(now, from, block);
    if (givenUpAt === undefined || late === undefined) {
      effects.push({ kind: "drop-block", from: from.peer });
      return givenUpAt !== undefined;
    }
    this.#table.handOver(late, from, block, effects);
    this.#takeNext(now, from, late, block, givenUpAt, effects);
    return true;
  }

  /**
   * The fetch that a block which was given up is still of use for, as it came before that of whoever was asked since. Of
   * one that may not be asked only the last block: its piece would wait for it.
   */
  #lateFor(now: Instant, from: Neighbour, { piece, offset, bytes }: Block): Fetch | undefined {
    const fetch = this.#table.get(piece);
    if (this.#isPaused || fetch?.arrived !== offset || !isAtRest(fetch)) return undefined;
    if (fetch.isSuspect || from.retryAt?.has(piece) === true) return undefined;
    const isLast = offset + bytes === fetch.bytes;
    return isLast || from.pausedUntil <= now ? fetch : undefined;
  }

  #takeNext(
    now: Instant,
    from: Neighbour,
    fetch: Fetch,
    { piece, offset, bytes }: Block,
    askedAt: Instant,
    effects: SwarmEffect[],
  ): void {
    noteBlock(from, bytes, askedAt, now);
    this.#pace.note(now, bytes, from.delayMs);
    from.isStoring = true;
    from.storingSince = now;
    this.#noteSpeed(now, from);
    fetch.arrived += bytes;
    effects.push({ kind: "store-block", from: from.peer, piece, offset, bytes });
  }

  /** Goes on after a block was written: with the comparison, or with another source. */
  stored(now: Instant, from: PeerId, block: Block, effects: SwarmEffect[]): void {
    const giver = this.#neighbours.get(from);
    if (giver !== undefined) noteStored(giver, now);
    const fetch = this.#table.get(block.piece);
    if (fetch === undefined || fetch.stored !== block.offset) return;
    fetch.stored += block.bytes;
    noteGiver(fetch, from);
    if (fetch.stored < fetch.bytes) {
      this.#table.await(fetch);
      return;
    }
    this.#table.finish(fetch);
    effects.push({ kind: "finish", piece: block.piece });
  }

  /** Stops asking: the store could not take a block. What arrived and is not stored is forgotten. */
  pause(now: Instant, from: PeerId, piece: number, effects: SwarmEffect[]): void {
    this.#isPaused = true;
    this.#lane.rest();
    this.#lane.want(undefined);
    const giver = this.#neighbours.get(from);
    if (giver !== undefined) noteStored(giver, now);
    const failed = this.#table.get(piece);
    if (failed !== undefined) failed.arrived = failed.stored;
    for (const fetch of this.#table.all()) this.#table.orphan(fetch, effects);
  }

  /** Asks again after a pause. */
  resume(now: Instant, effects: SwarmEffect[]): void {
    this.#isPaused = false;
    this.ask(now, effects);
  }

  /** A neighbour would send one of these now; an offer before it counts no more. */
  offered(now: Instant, from: Neighbour, offer: MessageOf<"offer">, effects: SwarmEffect[]): void {
    this.noteHas(from, offer.pieces);
    take(this.#early, from);
    if (!this.#offering.includes(from)) this.#offering.push(from);
    from.offer = offer.pieces;
    from.offerCount = offer.count;
    this.ask(now, effects);
  }

  /** Takes a refusal: the piece goes to another source. */
  refused(
    now: Instant,
    from: Neighbour,
    refusal: MessageOf<"refuse">,
    effects: SwarmEffect[],
  ): void {
    const { piece, reason } = refusal;
    const fetch = this.#table.get(piece);
    if (fetch?.source === from.peer) this.#table.orphan(fetch, effects);
    // A refusal holds until it is heard of: where nothing was left to give up, say so all the same.
    else effects.push({ kind: "send", to: from.peer, message: { kind: "cancel", piece } });
    if (reason === "busy") {
      const busyMs = BUSY_MS * (0.5 + this.#random());
      from.pausedUntil = Math.max(from.pausedUntil, now + busyMs);
      this.#alarm.set(from.pausedUntil);
    }
    if (reason === "absent" && from.has.remove(piece)) {
      this.#offers.copied(from, piece, -1);
      this.#offers.turn(from);
    }
    this.ask(now, effects);
  }

  /** A neighbour is gone: its pieces go to other sources. */
  lose(neighbour: Neighbour): void {
    this.#table.orphanAllOf(neighbour);
    neighbour.requests.clear();
    neighbour.cancelled.clear();
    take(this.#offering, neighbour);
    take(this.#early, neighbour);
    take(this.#slow, neighbour);
    for (const piece of neighbour.has.pieces()) this.#offers.copied(neighbour, piece, -1);
    this.#offers.turn(neighbour);
  }

  /** Takes the pieces from neighbours whose block is overdue; returns those neighbours. */
  expire(now: Instant, effects: SwarmEffect[]): Neighbour[] {
    const overdue: Neighbour[] = [];
    for (const neighbour of this.#neighbours.values()) {
      for (const [piece, at] of neighbour.retryAt ?? []) {
        if (at > now) continue;
        neighbour.retryAt?.delete(piece);
        neighbour.isDry = false;
      }
      const since = waitingFrom(neighbour);
      if (since === undefined || since + REQUEST_MS_MAX > now) continue;
      this.#table.orphanAllOf(neighbour, effects);
      neighbour.pausedUntil = now + TIMED_OUT_MS * 2 ** neighbour.timeouts;
      neighbour.timeouts += 1;
      overdue.push(neighbour);
    }
    for (const neighbour of this.#neighbours.values()) this.#noteSpeed(now, neighbour);
    return overdue;
  }

  /** A piece is whole, from here or elsewhere. */
  complete(piece: number, effects: SwarmEffect[]): void {
    this.#table.end(piece, effects);
  }

  /** A piece was corrupt: it is fetched again, of others first. Returns who gave it. */
  corrupt(now: Instant, piece: number): readonly PeerId[] {
    const fetch = this.#table.get(piece);
    if (fetch === undefined || !fetch.isFinishing) return [];
    const givers = giversOf(fetch);
    this.#table.again(fetch);
    for (const giver of givers) {
      const neighbour = this.#neighbours.get(giver);
      if (neighbour === undefined) continue;
      neighbour.retryAt ??= new Map();
      neighbour.retryAt.set(piece, now + PIECE_RETRY_MS);
    }
    this.#alarm.set(now + PIECE_RETRY_MS);
    return givers;
  }

  /** Sets the alarm for what no other fact would cause: whoever is overdue, or may be asked again. */
  setAlarm(now: Instant): void {
    const alarm = this.#alarm;
    const neighbours = this.#neighbours;
    const { waiting, outstanding, unasked } = this.#table;
    const isHungry = waiting.count + outstanding + unasked > 0 && !this.#isPaused;
    for (const neighbour of neighbours.values()) {
      const since = waitingFrom(neighbour);
      if (since !== undefined) {
        const slowAt = since + BRISK_MS_MAX;
        alarm.set(slowAt > now ? slowAt : since + REQUEST_MS_MAX);
      }
      if (!isHungry) continue;
      if (neighbour.pausedUntil > now) alarm.set(neighbour.pausedUntil);
      for (const at of neighbour.retryAt?.values() ?? []) alarm.set(at);
    }
  }

  /** Looks whether a neighbour is slow: when it gave a block, and when time alone may have made it so. */
  #noteSpeed(now: Instant, neighbour: Neighbour): void {
    const isKnown = this.#slow.includes(neighbour);
    if (isSlow(neighbour, now) === isKnown) return;
    if (isKnown) take(this.#slow, neighbour);
    else this.#slow.push(neighbour);
  }
}
