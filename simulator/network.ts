// Hosts with an uplink and a downlink each, and TCP connections between them, in virtual time. An
// uplink serves its connections in turn, a run of bytes each; what it sends queues at the receiver's
// downlink, and a connection whose receiver is congested waits without holding up the others. What a
// sender hands over waits in the connection's send buffer, behind which small messages wait too. Those on
// other connections pass what waits, where queues are fair, or wait in line like it, where they are not.
import { WIRE_RATIO } from "../core/estimate/broadcast-bound.ts";
import type { Instant } from "../core/machine.ts";
import type { EventQueue } from "./event-queue.ts";

/** What waits before a downlink for so long makes its senders wait; of an uplink more waits with its senders. */
const BACKLOG_MS = 25;

/** One NIC. Rates are bytes a millisecond; Infinity is no limit. */
export interface Host {
  upRate: number;
  downRate: number;
  /** Milliseconds to another such host and back. */
  readonly roundTripMs: number;
  /** Of its events in the queue. */
  readonly group: number;
  isUp: boolean;
  downFreeAt: Instant;
  /** Bytes handed over by its connections that have not left. */
  waiting: number;
  /** Connections with something to send, in order of turns. */
  readonly ready: Pipe[];
  /** Something is leaving; else it has nothing to send, or every receiver is congested. */
  isServing: boolean;
  /** Of the event that ends the wait of this uplink; another one is out of date. */
  turn: number;
  busyMs: number;
  sentBytes: number;
}

export function newHost(
  upRate: number,
  downRate: number,
  roundTripMs: number,
  group: number,
): Host {
  return {
    upRate,
    downRate,
    roundTripMs,
    group,
    isUp: true,
    downFreeAt: 0,
    waiting: 0,
    ready: [],
    isServing: false,
    turn: 0,
    busyMs: 0,
    sentBytes: 0,
  };
}

/** Something that waits to leave. */
interface Parcel {
  readonly content: unknown;
  /** A small message has none and takes no time. */
  readonly bytes: number;
  next: Parcel | undefined;
}

/** One direction of a connection. What every message looks at comes first: it is fetched from memory together. */
export class Pipe {
  isOpen = true;
  /** What waits to leave. A list of links: most pipes have nothing most of the time, and there are many. */
  first: Parcel | undefined = undefined;
  readonly delayMs: number;
  lastArrival: Instant = 0;
  /** Of the target, which lies elsewhere. */
  readonly targetGroup: number;
  readonly source: Host;
  readonly target: Host;
  last: Parcel | undefined = undefined;
  /** Bytes of the first parcel that have left. */
  leftBytes = 0;
  /** Bytes handed over that have not left. */
  waiting = 0;
  /** Bytes that have left and not arrived. */
  flying = 0;
  isReady = false;
  /** Its pace lets nothing more leave before. */
  pacedUntil: Instant = 0;

  constructor(source: Host, target: Host) {
    this.delayMs = (source.roundTripMs + target.roundTripMs) / 4;
    this.targetGroup = target.group;
    this.source = source;
    this.target = target;
  }
}

export interface NetworkOptions {
  readonly queue: EventQueue;
  /** Bytes that a connection sends in its turn. */
  readonly runBytes: number;
  /** Bytes that a connection takes from its sender before they leave. */
  readonly sendBufferBytes: number;
  /** Bytes of a connection that may be under way: what it carries in a round trip. */
  readonly windowBytes: number;
  /** Bytes a millisecond at which a connection sends at most. */
  readonly paceRate: number;
  /** NICs have one queue, in which small messages wait behind blocks of other connections. */
  readonly isFifo: boolean;
  /** A connection that had no room has taken all that was handed over. */
  readonly drained: (pipe: Pipe) => void;
  /** Kinds of the events that the network makes. */
  readonly kinds: { readonly served: number; readonly arrived: number };
}

export class Network {
  readonly #options: NetworkOptions;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** True when a connection has taken all that was handed over; else `drained` says when. */
  hasTaken(pipe: Pipe): boolean {
    return pipe.waiting <= this.#options.sendBufferBytes;
  }

  /** Called for events of kind `arrived`, with the bytes of what arrived. */
  arrived(now: Instant, pipe: Pipe, bytes: number): void {
    const isFull = pipe.flying >= this.#options.windowBytes;
    pipe.flying -= bytes;
    const { source } = pipe;
    if (isFull && pipe.isReady && !source.isServing) this.#serve(now, source);
  }

  /** Sends something of so many bytes; a small message, of none, takes no time of a NIC. */
  send(now: Instant, pipe: Pipe, bytes: number, content: unknown): void {
    if (bytes === 0 && pipe.first === undefined) {
      this.#arrive(this.#options.isFifo ? afterQueues(now, pipe) : now, pipe, content);
      return;
    }
    append(pipe, { content, bytes, next: undefined });
    pipe.waiting += bytes;
    pipe.source.waiting += bytes;
    if (pipe.isReady) return;
    pipe.isReady = true;
    pipe.source.ready.push(pipe);
    if (!pipe.source.isServing) this.#serve(now, pipe.source);
  }

  /** Nothing that leaves from now on arrives before. */
  clog(pipe: Pipe, until: Instant): void {
    pipe.lastArrival = Math.max(pipe.lastArrival, until);
  }

  /** Nothing more arrives from it. */
  close(pipe: Pipe): void {
    pipe.isOpen = false;
    pipe.first = undefined;
    pipe.leftBytes = 0;
    pipe.source.waiting -= pipe.waiting;
    pipe.waiting = 0;
  }

  /** A run has left, or a receiver is congested no more: called for events of kind `served`. */
  served(now: Instant, host: Host, turn: number): void {
    if (turn !== host.turn) return;
    host.isServing = false;
    this.#serve(now, host);
  }

  #serve(now: Instant, host: Host): void {
    if (!host.isUp) return;
    const { ready } = host;
    let earliest = Number.POSITIVE_INFINITY;
    for (let turns = ready.length; turns > 0; turns -= 1) {
      const pipe = ready.shift() as Pipe;
      if (pipe.first === undefined) {
        pipe.isReady = false;
        continue;
      }
      const isFull = pipe.flying >= this.#options.windowBytes;
      const congestedUntil = isFull
        ? Number.POSITIVE_INFINITY
        : pipe.target.downFreeAt - BACKLOG_MS;
      const freeAt = Math.max(congestedUntil, pipe.pacedUntil);
      if (freeAt <= now) {
        this.#run(now, host, pipe);
        return;
      }
      ready.push(pipe);
      earliest = Math.min(earliest, freeAt);
    }
    if (earliest === Number.POSITIVE_INFINITY) return;
    host.turn += 1;
    this.#options.queue.add(earliest, host.group, this.#options.kinds.served, host, host.turn);
  }

  #run(now: Instant, host: Host, pipe: Pipe): void {
    const { queue, runBytes, paceRate, kinds } = this.#options;
    const parcel = pipe.first as Parcel;
    const bytes = Math.min(runBytes, parcel.bytes - pipe.leftBytes);
    const tookMs = (bytes * WIRE_RATIO) / host.upRate;
    const { target } = pipe;
    target.downFreeAt = Math.max(target.downFreeAt, now) + (bytes * WIRE_RATIO) / target.downRate;
    host.busyMs += tookMs;
    host.sentBytes += bytes;
    pipe.leftBytes += bytes;
    const hadRoom = this.hasTaken(pipe);
    pipe.waiting -= bytes;
    host.waiting -= bytes;
    pipe.flying += bytes;
    pipe.pacedUntil = now + (bytes * WIRE_RATIO) / paceRate;
    if (pipe.leftBytes >= parcel.bytes) {
      pipe.leftBytes = 0;
      pipe.first = parcel.next;
      this.#arrive(Math.max(now + tookMs, target.downFreeAt), pipe, parcel.content);
      for (; pipe.first?.bytes === 0; pipe.first = pipe.first.next) {
        this.#arrive(now + tookMs, pipe, pipe.first.content);
      }
    }
    if (pipe.first === undefined) {
      pipe.isReady = false;
      pipe.last = undefined;
    } else host.ready.push(pipe);
    host.isServing = true;
    host.turn += 1;
    queue.add(now + tookMs, host.group, kinds.served, host, host.turn);
    if (!hadRoom && this.hasTaken(pipe)) this.#options.drained(pipe);
  }

  #arrive(leaves: Instant, pipe: Pipe, content: unknown): void {
    const at = Math.max(leaves + pipe.delayMs, pipe.lastArrival);
    pipe.lastArrival = at;
    this.#options.queue.add(at, pipe.targetGroup, this.#options.kinds.arrived, pipe, content);
  }
}

function append(pipe: Pipe, parcel: Parcel): void {
  if (pipe.first === undefined || pipe.last === undefined) pipe.first = parcel;
  else pipe.last.next = parcel;
  pipe.last = parcel;
}

/** When a small message is through what waits before it at both NICs. */
function afterQueues(now: Instant, { source, target }: Pipe): Instant {
  const waitMs = (source.waiting * WIRE_RATIO) / source.upRate;
  return Math.max(now + Math.min(BACKLOG_MS, waitMs), target.downFreeAt);
}
