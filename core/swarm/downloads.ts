// What becomes of pieces coming here: blocks that arrive or are overdue, refusals, sources that are
// lost, pieces that turn out corrupt. Who is a neighbour and who is banned is the machine's.

import type { Instant } from "../machine.ts";
import { PIECES_MAX } from "../release/limits.ts";
import { ask, askAll } from "./asking.ts";
import type { SwarmEffect } from "./facts.ts";
import { FetchTable } from "./fetch-table.ts";
import { BRISK_MS_MAX, BUSY_MS, PIECE_RETRY_MS, REQUEST_MS_MAX, TIMED_OUT_MS } from "./limits.ts";
import type { Block, PeerId, PeerRole, RefuseReason } from "./message.ts";
import {
  type Neighbour,
  noteBlock,
  noteStored,
  takeCancelled,
  takeRequest,
  waitingFrom,
} from "./neighbour.ts";
import type { ChoiceView } from "./piece-choice.ts";
import type { Random } from "./random.ts";

export interface DownloadsOptions {
  readonly role: PeerRole;
  readonly random: Random;
  readonly neighbours: ReadonlyMap<PeerId, Neighbour>;
  readonly bytesOf: (piece: number) => number;
}

export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #table: FetchTable;
  readonly #agentCopies = new Uint16Array(PIECES_MAX);
  #isPaused = false;

  constructor(options: DownloadsOptions) {
    this.#options = options;
    this.#table = new FetchTable(options);
  }

  /** Makes missing pieces wait for a source. */
  miss(pieces: readonly number[]): void {
    this.#table.miss(pieces);
  }

  /** Notes that a neighbour has a piece; false when that is no news. */
  noteHas(neighbour: Neighbour, piece: number): boolean {
    if (!neighbour.has.add(piece)) return false;
    this.#countCopy(neighbour, piece, 1);
    return true;
  }

  /** Asks one neighbour for as much as may be asked of it. */
  ask(now: Instant, neighbour: Neighbour, effects: SwarmEffect[]): void {
    if (!this.#isPaused) ask(this.#view(now), this.#table, neighbour, effects);
  }

  /** Asks all neighbours. */
  askAll(now: Instant, effects: SwarmEffect[]): void {
    if (!this.#isPaused) askAll(this.#view(now), this.#table, effects);
  }

  /** Takes a block that came; false when it was never asked, or is not the next of its piece. */
  receive(now: Instant, from: Neighbour, block: Block, effects: SwarmEffect[]): boolean {
    const request = takeRequest(from, block);
    const fetch = this.#table.get(block.piece);
    if (request === undefined || fetch === undefined || fetch.arrived !== block.offset) {
      if (request !== undefined) this.#table.answered();
      effects.push({ kind: "drop-block", from: from.peer });
      return request === undefined && takeCancelled(from, block);
    }
    this.#table.answered();
    noteBlock(from, request, now);
    from.storingSince = now;
    fetch.arrived += block.bytes;
    const { piece, offset, bytes } = block;
    effects.push({ kind: "store-block", from: from.peer, piece, offset, bytes });
    return true;
  }

  /** Goes on after a block was written: with the comparison, or with another source. */
  stored(now: Instant, from: PeerId, block: Block, effects: SwarmEffect[]): void {
    const giver = this.#options.neighbours.get(from);
    if (giver !== undefined) noteStored(giver, now);
    const fetch = this.#table.get(block.piece);
    if (fetch === undefined || fetch.stored !== block.offset) return;
    fetch.stored += block.bytes;
    fetch.givers.add(from);
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
    const giver = this.#options.neighbours.get(from);
    if (giver !== undefined) noteStored(giver, now);
    const failed = this.#table.get(piece);
    if (failed !== undefined) failed.arrived = failed.stored;
    for (const fetch of this.#table.all()) this.#table.orphan(fetch, effects);
  }

  resume(): void {
    this.#isPaused = false;
  }

  /** Takes a refusal: the piece goes to another source. */
  refused(
    now: Instant,
    from: Neighbour,
    piece: number,
    reason: RefuseReason,
    effects: SwarmEffect[],
  ): void {
    const fetch = this.#table.get(piece);
    if (fetch?.source === from.peer) this.#table.orphan(fetch, effects);
    // A refusal holds until it is heard of: where nothing was left to give up, say so all the same.
    else effects.push({ kind: "send", to: from.peer, message: { kind: "cancel", piece } });
    const jitter = 0.5 + this.#options.random();
    if (reason === "busy") from.pausedUntil = Math.max(from.pausedUntil, now + BUSY_MS * jitter);
    if (reason === "lent") from.retryAt.set(piece, now + PIECE_RETRY_MS);
    if (reason === "absent" && from.has.remove(piece)) this.#countCopy(from, piece, -1);
  }

  /** A neighbour is gone: its pieces go to other sources. */
  lose(neighbour: Neighbour): void {
    this.#table.orphanAllOf(neighbour);
    for (const piece of neighbour.has.pieces()) this.#countCopy(neighbour, piece, -1);
  }

  /** Takes the pieces from neighbours whose block is overdue; returns those neighbours. */
  expire(now: Instant, effects: SwarmEffect[]): Neighbour[] {
    const overdue: Neighbour[] = [];
    for (const neighbour of this.#options.neighbours.values()) {
      for (const [piece, at] of neighbour.retryAt) if (at <= now) neighbour.retryAt.delete(piece);
      const since = waitingFrom(neighbour);
      if (since === undefined || since + REQUEST_MS_MAX > now) continue;
      this.#table.orphanAllOf(neighbour, effects);
      neighbour.pausedUntil = now + TIMED_OUT_MS * 2 ** neighbour.timeouts;
      neighbour.timeouts += 1;
      neighbour.depth = 1;
      overdue.push(neighbour);
    }
    return overdue;
  }

  /** A piece is whole, from here or elsewhere. */
  complete(piece: number, effects: SwarmEffect[]): void {
    this.#table.end(piece, effects);
  }

  /** A piece was corrupt: it is fetched again, of others first. Returns who gave it. */
  corrupt(now: Instant, piece: number): ReadonlySet<PeerId> {
    const fetch = this.#table.get(piece);
    if (fetch === undefined || !fetch.isFinishing) return new Set();
    this.#table.again(fetch);
    for (const giver of fetch.givers) {
      this.#options.neighbours.get(giver)?.retryAt.set(piece, now + PIECE_RETRY_MS);
    }
    return fetch.givers;
  }

  /** When `expire` or `askAll` could do something that no other fact would cause. */
  deadline(now: Instant): Instant {
    let earliest = Number.POSITIVE_INFINITY;
    const consider = (at: Instant) => {
      if (at > now && at < earliest) earliest = at;
    };
    const isHungry = this.#table.waiting.length > 0 && !this.#isPaused;
    for (const neighbour of this.#options.neighbours.values()) {
      const since = waitingFrom(neighbour);
      if (since !== undefined) {
        earliest = Math.min(earliest, since + REQUEST_MS_MAX);
        consider(since + BRISK_MS_MAX);
      }
      if (!isHungry) continue;
      consider(neighbour.pausedUntil);
      for (const at of neighbour.retryAt.values()) consider(at);
    }
    return earliest;
  }

  #view(now: Instant): ChoiceView {
    const { role, neighbours } = this.#options;
    return { now, role, neighbours, agentCopies: this.#agentCopies };
  }

  #countCopy(neighbour: Neighbour, piece: number, change: 1 | -1): void {
    if (neighbour.role !== "agent") return;
    this.#agentCopies[piece] = (this.#agentCopies[piece] ?? 0) + change;
  }
}
