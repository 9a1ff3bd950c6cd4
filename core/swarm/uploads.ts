// Blocks that others asked of us: bounded queues, a few blocks on their way out in the order in which
// they were asked, and who takes nothing any more. What is asked of us follows from what we offer, so
// there is little to choose here.
import type { Instant } from "../machine.ts";
import type { Alarm } from "./alarm.ts";
import type { Announcing } from "./announcing.ts";
import { Bitfield } from "./bitfield.ts";
import { BlockList, type BlockPool } from "./block-list.ts";
import type { SwarmEffect } from "./facts.ts";
import { Flight } from "./flight.ts";
import type { LanePlace } from "./lane.ts";
import {
  BRISK_MS_MAX,
  OFFERED_BYTES,
  OFFERED_BYTES_LONG,
  OFFERED_MS,
  QUEUED_BYTES_MAX,
  QUEUED_PER_NEIGHBOUR_MAX,
  SEND_MS_MAX,
  SENDING_MAX,
  SENDING_PER_NEIGHBOUR_MAX,
  SHORT_WAY_MS,
  SPREAD_BLOCKS,
} from "./limits.ts";
import type { Block } from "./message.ts";
import type { Neighbour } from "./neighbour.ts";
import { take } from "./short-list.ts";

interface Queue {
  readonly neighbour: Neighbour;
  /** What it asked for, with the place in the order of all requests. */
  readonly blocks: BlockList;
  /** Pieces refused: what it asked of them before it heard so is not answered. */
  refused: Bitfield | undefined;
  sending: number;
  /** Blocks that left and that it did not say it got, since when; oldest first. */
  readonly flying: BlockList;
  /** Nothing has gone on with it for a while: what it asked for keeps nobody else waiting. */
  isStalled: boolean;
  /** Since when no block to it has left, while some are on their way. */
  sendingSince: Instant;
}

export class Uploads {
  readonly #alarm: Alarm;
  readonly #lane: LanePlace;
  readonly #pool: BlockPool;
  /** By the neighbour's place. */
  readonly #queues: (Queue | undefined)[] = [];
  /** Those with blocks queued. */
  readonly #pending: Queue[] = [];
  #neighbours = 0;
  /** Blocks queued for all, and being handed to connections of all but the stalled. */
  #queued = 0;
  #sending = 0;
  /** Bytes queued for all but the stalled, and on their way to them. */
  #queuedBytes = 0;
  #flyingBytes = 0;
  readonly #flight = new Flight();
  #asked = 0;

  constructor(alarm: Alarm, lane: LanePlace, pool: BlockPool) {
    this.#alarm = alarm;
    this.#lane = lane;
    this.#pool = pool;
  }

  /** Bytes queued or being handed to connections, for all but the stalled. */
  get waitingBytes(): number {
    return this.#queuedBytes + this.#sending * this.blockBytes;
  }

  /** Bytes that may wait here or be offered, beyond those that leave while an offer is answered. */
  get offeredBytes(): number {
    return Math.min(this.offeredBytesMax, OFFERED_MS * this.#lane.rate);
  }

  /** The same where no limit lets less go. */
  get offeredBytesMax(): number {
    return this.#flight.isFast ? OFFERED_BYTES_LONG : OFFERED_BYTES;
  }

  /** Bytes that may be on their way beyond those that are. */
  get roomBytes(): number {
    return this.#boundBytes - this.#queuedBytes - this.#flyingBytes;
  }

  /** It has to leave the wire to an urgent swarm. */
  get isHeld(): boolean {
    return this.#lane.yields && this.roomBytes <= 0;
  }

  /** Tells the other swarms of the process how much waits or is on its way; true when they may send more. */
  note(): boolean {
    return this.#lane.note(this.#queuedBytes + this.#flyingBytes);
  }

  /** The swarm goes before the others of the process from now on, or is one of them. */
  urge(isUrgent: boolean): void {
    this.#lane.urge(isUrgent);
  }

  /** The swarm is left. */
  leave(): void {
    this.#lane.leave();
  }

  /** Says whether more would be offered if more might be on its way. */
  want(isMore: boolean): void {
    this.#lane.want(isMore ? this.#flight.enoughBytes : undefined);
  }

  /** Bytes that the wire holds, there and back. */
  get pipeBytes(): number {
    return this.#flight.pipeBytes;
  }

  /** Bytes of a block at the rate at which they leave. */
  get blockBytes(): number {
    return this.#flight.blockBytes;
  }

  add(neighbour: Neighbour): void {
    this.#neighbours += 1;
    this.#queues[neighbour.place] = {
      neighbour,
      blocks: new BlockList(this.#pool),
      refused: undefined,
      sending: 0,
      flying: new BlockList(this.#pool),
      isStalled: false,
      sendingSince: 0,
    };
  }

  remove({ place }: Neighbour): void {
    const queue = this.#queues[place];
    if (queue === undefined) return;
    this.#neighbours -= 1;
    this.#queued -= queue.blocks.length;
    this.#stall(queue);
    this.#unlist(queue);
    queue.blocks.clear();
    queue.flying.clear();
    this.#queues[place] = undefined;
  }

  /** True when nothing is queued for or on its way to a neighbour. */
  isIdle({ place }: Neighbour): boolean {
    const queue = this.#queues[place];
    return queue === undefined || (queue.blocks.length === 0 && queue.sending === 0);
  }

  /**
   * Queues a block of a piece that we have, or says why not. A refusal is of the piece: further
   * requests for it are `ignored` until the peer has cancelled it, and so has heard.
   */
  request(neighbour: Neighbour, block: Block): "queued" | "busy" | "ignored" {
    const queue = this.#queues[neighbour.place];
    if (queue === undefined || queue.refused?.has(block.piece)) return "ignored";
    const { piece, offset, bytes } = block;
    if (this.#queuedBytes >= QUEUED_BYTES_MAX || queue.blocks.length >= QUEUED_PER_NEIGHBOUR_MAX) {
      this.refuse(neighbour, piece);
      return "busy";
    }
    if (queue.blocks.length === 0) this.#pending.push(queue);
    queue.blocks.push(piece, offset, bytes, this.#asked++);
    neighbour.owed += 1;
    this.#queued += 1;
    if (!queue.isStalled) this.#queuedBytes += bytes;
    return "queued";
  }

  /** Drops what is queued of a piece that is refused. */
  refuse({ place }: Neighbour, piece: number): void {
    const queue = this.#queues[place];
    if (queue === undefined) return;
    this.#dequeue(queue, piece);
    queue.refused ??= new Bitfield();
    queue.refused.add(piece);
  }

  /** The peer gave up a piece, of itself or because it was refused. */
  cancel({ place }: Neighbour, piece: number): void {
    const queue = this.#queues[place];
    if (queue === undefined) return;
    this.#dequeue(queue, piece);
    queue.refused?.remove(piece);
  }

  /** Sends blocks while they may leave; what is new here goes with them. */
  send(now: Instant, announcing: Announcing, effects: SwarmEffect[]): void {
    for (let queue = this.#next(now); queue !== undefined; queue = this.#next(now)) {
      const { neighbour, blocks } = queue;
      const block = blocks.first;
      const { piece, offset, bytes } = block;
      this.#lane.pass(now, bytes);
      blocks.shift();
      if (blocks.length === 0) this.#unlist(queue);
      this.#launch(now, queue, block);
      announcing.ride(now, neighbour, effects);
      effects.push({ kind: "send-block", to: neighbour.peer, piece, offset, bytes });
    }
  }

  /** Whose first block is to leave; undefined: there is none, enough are on their way, or the limit says later. */
  #next(now: Instant): Queue | undefined {
    if (this.#queued === 0) this.#lane.rest();
    if (this.#queued === 0 || this.#sending >= SENDING_MAX) return undefined;
    if (this.#flyingBytes >= this.#flight.fullBytes) return undefined;
    let best: Queue | undefined;
    let earliest = Number.POSITIVE_INFINITY;
    const flyingMax = this.#flyingMax;
    for (const queue of this.#pending) {
      const asked = queue.blocks.firstAt;
      if (asked >= earliest) continue;
      if (queue.sending >= SENDING_PER_NEIGHBOUR_MAX) continue;
      if (queue.flying.length >= flyingMax) continue;
      best = queue;
      earliest = asked;
    }
    if (best === undefined) return undefined;
    if (this.#lane.yields && this.#flyingBytes >= this.#boundBytes) {
      this.want(true);
      this.#lane.rest();
      return undefined;
    }
    const waitsUntil = this.#lane.waitsUntil(now);
    if (waitsUntil !== undefined) {
      this.#alarm.set(waitsUntil);
      return undefined;
    }
    return best;
  }

  /** Notes that a block left, or could not be read. */
  sent(now: Instant, { place }: Neighbour): void {
    const queue = this.#queues[place];
    if (queue === undefined || queue.sending === 0) return;
    queue.sending -= 1;
    queue.sendingSince = now;
    if (!queue.isStalled) this.#sending -= 1;
  }

  /** Notes that a neighbour got a block, or never will. */
  got(now: Instant, { place }: Neighbour): void {
    const queue = this.#queues[place];
    if (queue === undefined || queue.flying.length === 0) return;
    const { firstAt, firstBytes } = queue.flying;
    queue.flying.shift();
    queue.neighbour.owed -= 1;
    this.#flight.note(now, firstBytes, now - firstAt);
    if (!queue.isStalled) this.#flyingBytes -= firstBytes;
    else if (!this.#isOverdue(queue, now)) this.#unstall(queue);
  }

  /** Neighbours that take nothing any more. */
  stalled(now: Instant): Neighbour[] {
    const stalled: Neighbour[] = [];
    for (const queue of this.#queues) {
      if (queue === undefined || queue.sending === 0) continue;
      if (queue.sendingSince + SEND_MS_MAX <= now) stalled.push(queue.neighbour);
    }
    return stalled;
  }

  /** Finds out who is stalled, and sets the alarm for when someone else may be. */
  expire(now: Instant): void {
    for (const queue of this.#queues) {
      if (queue === undefined) continue;
      const isOverdue = this.#isOverdue(queue, now);
      if (isOverdue && !queue.isStalled) this.#stall(queue);
      if (!isOverdue && queue.isStalled) this.#unstall(queue);
      if (queue.sending > 0) this.#alarm.set(queue.sendingSince + SEND_MS_MAX);
      if (queue.flying.length > 0 && !isOverdue) this.#alarm.set(now + BRISK_MS_MAX);
    }
  }

  #isOverdue({ flying }: Queue, now: Instant): boolean {
    return flying.firstAt + BRISK_MS_MAX <= now;
  }

  /** Bytes that may be on their way; those of a swarm that yields only fill what is left. */
  get #boundBytes(): number {
    if (!this.#lane.yields) return this.#flight.maxBytes;
    return this.#lane.boundOf(this.#flight.enoughBytes);
  }

  /**
   * Blocks that one neighbour may have on their way; more where a way is long. A block each on many connections leaves
   * as fast as the uplink does; several on one wait for the pace that TCP gives it, in packets that a shaper has to cut.
   */
  get #flyingMax(): number {
    const each = Math.max(1, Math.floor(SPREAD_BLOCKS / this.#neighbours));
    const { leastMs } = this.#flight;
    if (!Number.isFinite(leastMs)) return each;
    return Math.ceil(each * Math.max(1, leastMs / SHORT_WAY_MS));
  }

  #stall(queue: Queue): void {
    if (queue.isStalled) return;
    queue.isStalled = true;
    this.#queuedBytes -= queue.blocks.bytes;
    this.#sending -= queue.sending;
    this.#flyingBytes -= queue.flying.bytes;
  }

  #unstall(queue: Queue): void {
    queue.isStalled = false;
    this.#queuedBytes += queue.blocks.bytes;
    this.#sending += queue.sending;
    this.#flyingBytes += queue.flying.bytes;
  }

  #dequeue(queue: Queue, piece: number): void {
    if (queue.blocks.length === 0) return;
    const { bytes } = queue.blocks;
    const count = queue.blocks.takePiece(piece);
    this.#queued -= count;
    queue.neighbour.owed -= count;
    if (!queue.isStalled) this.#queuedBytes -= bytes - queue.blocks.bytes;
    if (queue.blocks.length === 0) this.#unlist(queue);
  }

  /** Nothing is queued for it any more. */
  #unlist(queue: Queue): void {
    take(this.#pending, queue);
  }

  #launch(now: Instant, queue: Queue, { piece, offset, bytes }: Block): void {
    if (queue.sending === 0) {
      queue.sendingSince = now;
      this.#alarm.set(now + SEND_MS_MAX);
    }
    queue.sending += 1;
    queue.flying.push(piece, offset, bytes, now);
    this.#alarm.set(now + BRISK_MS_MAX);
    queue.neighbour.usefulAt = now;
    this.#queued -= 1;
    if (queue.isStalled) return;
    this.#queuedBytes -= bytes;
    this.#sending += 1;
    this.#flyingBytes += bytes;
  }
}
