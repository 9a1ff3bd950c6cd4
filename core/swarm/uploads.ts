// Blocks that others asked of us: bounded queues, a few blocks on their way out, and the order in
// which they go. A piece that few got from us goes first, so that a seed gives each piece away once
// before it repeats itself; a relay refuses a repeat while whoever got it first may still hand it on.
import type { Instant } from "../machine.ts";
import { Bitfield } from "./bitfield.ts";
import {
  LENT_TIMES_MAX,
  LOAN_MS,
  QUEUED_MAX,
  QUEUED_MS_PATIENT,
  QUEUED_PER_NEIGHBOUR_MAX,
  SEND_MS_MAX,
  SENDING_MAX,
  SENDING_PER_NEIGHBOUR_MAX,
} from "./limits.ts";
import type { Block, PeerId } from "./message.ts";
import type { Neighbour } from "./neighbour.ts";

interface QueuedBlock extends Block {
  readonly queuedAt: Instant;
}

interface Queue {
  readonly neighbour: Neighbour;
  readonly blocks: QueuedBlock[];
  /** Pieces of which it asked anything. */
  readonly begun: Bitfield;
  /** Pieces refused: what it asked of them before it heard so is not answered. */
  readonly refused: Bitfield;
  /** How often it was told that a piece is lent. */
  readonly spared: Map<number, number>;
  sending: number;
  /** Since when no block to it has left, while some are on their way. */
  sendingSince: Instant;
  /** Place in the order of turns. */
  turn: number;
}

interface Loan {
  readonly borrower: PeerId;
  at: Instant;
}

export class Uploads {
  readonly #queues = new Map<PeerId, Queue>();
  /** To how many neighbours each piece was begun. */
  readonly #given = new Map<number, number>();
  readonly #loans = new Map<number, Loan>();
  #queued = 0;
  #sending = 0;
  #turn = 0;

  add(neighbour: Neighbour): void {
    this.#queues.set(neighbour.peer, {
      neighbour,
      blocks: [],
      begun: new Bitfield(),
      refused: new Bitfield(),
      spared: new Map(),
      sending: 0,
      sendingSince: 0,
      turn: 0,
    });
  }

  remove(peer: PeerId): void {
    const queue = this.#queues.get(peer);
    if (queue === undefined) return;
    this.#queued -= queue.blocks.length;
    this.#sending -= queue.sending;
    this.#queues.delete(peer);
  }

  /** True when nothing is queued for or on its way to a neighbour. */
  isIdle(peer: PeerId): boolean {
    const queue = this.#queues.get(peer);
    return queue === undefined || (queue.blocks.length === 0 && queue.sending === 0);
  }

  /**
   * Queues a block of a piece that we have, or says why not. `mayLend`: spare repeats. A refusal is of
   * the piece: further requests for it are `ignored` until the peer has cancelled it, and so has heard.
   */
  request(
    now: Instant,
    peer: PeerId,
    block: Block,
    mayLend: boolean,
  ): "queued" | "busy" | "lent" | "ignored" {
    const queue = this.#queues.get(peer);
    if (queue === undefined || queue.refused.has(block.piece)) return "ignored";
    const { piece, offset, bytes } = block;
    const isBegun = queue.begun.has(piece);
    if (this.#queued >= QUEUED_MAX || queue.blocks.length >= QUEUED_PER_NEIGHBOUR_MAX) {
      this.refuse(peer, piece);
      return "busy";
    }
    if (!isBegun && mayLend && this.#isLent(now, queue, piece)) {
      this.refuse(peer, piece);
      return "lent";
    }
    if (!isBegun) {
      queue.begun.add(piece);
      this.#given.set(piece, (this.#given.get(piece) ?? 0) + 1);
      this.#loans.set(piece, { borrower: peer, at: now });
    }
    queue.blocks.push({ piece, offset, bytes, queuedAt: now });
    this.#queued += 1;
    return "queued";
  }

  /** Drops what is queued of a piece that is refused. */
  refuse(peer: PeerId, piece: number): void {
    this.#dequeue(peer, piece);
    this.#queues.get(peer)?.refused.add(piece);
  }

  /** The peer gave up a piece, of itself or because it was refused. */
  cancel(peer: PeerId, piece: number): void {
    this.#dequeue(peer, piece);
    this.#queues.get(peer)?.refused.remove(piece);
  }

  /** Takes the next block to send; undefined when there is none or enough are on their way. */
  next(now: Instant): { readonly to: PeerId; readonly block: Block } | undefined {
    if (this.#sending >= SENDING_MAX) return undefined;
    let best: Queue | undefined;
    let bestGiven = Number.POSITIVE_INFINITY;
    for (const queue of this.#queues.values()) {
      const head = queue.blocks[0];
      if (head === undefined || queue.sending >= SENDING_PER_NEIGHBOUR_MAX) continue;
      const hasWaited = now - head.queuedAt >= QUEUED_MS_PATIENT;
      const given = hasWaited ? 0 : (this.#given.get(head.piece) ?? 0);
      if (given > bestGiven) continue;
      if (given === bestGiven && best !== undefined && queue.turn >= best.turn) continue;
      best = queue;
      bestGiven = given;
    }
    const block = best?.blocks.shift();
    if (best === undefined || block === undefined) return undefined;
    this.#send(now, best, block.piece);
    const { piece, offset, bytes } = block;
    return { to: best.neighbour.peer, block: { piece, offset, bytes } };
  }

  /** Notes that a block left, or could not be read. */
  sent(now: Instant, peer: PeerId): void {
    const queue = this.#queues.get(peer);
    if (queue === undefined || queue.sending === 0) return;
    queue.sending -= 1;
    queue.sendingSince = now;
    this.#sending -= 1;
  }

  /** Neighbours that take nothing any more. */
  stalled(now: Instant): PeerId[] {
    const stalled: PeerId[] = [];
    for (const [peer, queue] of this.#queues) {
      if (queue.sending > 0 && queue.sendingSince + SEND_MS_MAX <= now) stalled.push(peer);
    }
    return stalled;
  }

  /** When `stalled` may have someone. */
  get deadline(): Instant {
    let earliest = Number.POSITIVE_INFINITY;
    for (const queue of this.#queues.values()) {
      if (queue.sending > 0) earliest = Math.min(earliest, queue.sendingSince + SEND_MS_MAX);
    }
    return earliest;
  }

  #dequeue(peer: PeerId, piece: number): void {
    const queue = this.#queues.get(peer);
    if (queue === undefined) return;
    const kept = queue.blocks.filter((block) => block.piece !== piece);
    this.#queued -= queue.blocks.length - kept.length;
    queue.blocks.splice(0, queue.blocks.length, ...kept);
  }

  #send(now: Instant, queue: Queue, piece: number): void {
    if (queue.sending === 0) queue.sendingSince = now;
    queue.sending += 1;
    queue.turn = ++this.#turn;
    queue.neighbour.usefulAt = now;
    this.#queued -= 1;
    this.#sending += 1;
    const loan = this.#loans.get(piece);
    if (loan?.borrower === queue.neighbour.peer) loan.at = now;
  }

  #isLent(now: Instant, queue: Queue, piece: number): boolean {
    if (queue.neighbour.role === "relay") return false;
    const loan = this.#loans.get(piece);
    if (loan === undefined || loan.borrower === queue.neighbour.peer) return false;
    const borrower = this.#queues.get(loan.borrower);
    if (borrower === undefined || borrower.neighbour.has.has(piece)) return false;
    const times = queue.spared.get(piece) ?? 0;
    if (loan.at + LOAN_MS <= now || times >= LENT_TIMES_MAX) return false;
    queue.spared.set(piece, times + 1);
    return true;
  }
}
