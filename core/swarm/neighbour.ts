// What we know of one connected peer as a source: what it has, what we asked it, how well it answers.
// What it asks of us is kept in `uploads.ts`.

import type { Instant } from "../machine.ts";
import type { Bitfield } from "./bitfield.ts";
import { BlockList, type BlockPool } from "./block-list.ts";
import type { Fetch } from "./fetch.ts";
import { BLOCK_BYTES_SHORT, BRISK_BYTES, BRISK_MS_MAX, CANCELLED_MAX } from "./limits.ts";
import type { PeerId, PeerRole } from "./message.ts";
import { newShortList } from "./short-list.ts";

/** Responses faster than a clock can tell count as so long. */
const RESPONSE_MS_MIN = 0.01;
/** The least delay rises by so much a block, so that a path that became longer is found out. */
const DELAY_RISE = 1.001;

export interface Neighbour {
  /** A small number that no other neighbour has while it is one; what others keep of it, they keep by this. */
  readonly place: number;
  readonly peer: PeerId;
  readonly role: PeerRole;
  readonly has: Bitfield;
  /** Blocks asked and not answered, since when; oldest first. */
  readonly requests: BlockList;
  /** Blocks that we no longer want, but that may be under way. */
  readonly cancelled: BlockList;
  /** What it is the source of, in the order it was begun, and how much of that is not asked to its end. */
  readonly fetching: Fetch[];
  unasked: number;
  /** Pieces not to be asked of it before an instant; undefined: there never were any. */
  retryAt: Map<number, Instant> | undefined;
  /** Nothing is asked of it before. */
  pausedUntil: Instant;
  /** Pieces of which it would send one now, until we have answered. */
  offer: readonly number[] | undefined;
  /** How many of them. */
  offerCount: number;
  /** Blocks that it has asked of us and did not say to have got. */
  owed: number;
  /** It has nothing that we could ask for, as far as we have looked since it told news. */
  isDry: boolean;
  /** Milliseconds from a request to its block lately, and the least of late: its delay alone. */
  responseMs: number;
  delayMs: number;
  /** Time-outs since its last block. */
  timeouts: number;
  /** Milliseconds that BRISK_BYTES of it took lately. */
  briskMs: number;
  lastBlockAt: Instant;
  /** One of its blocks is being written, and since when; meanwhile it waits for us, not we for it. */
  isStoring: boolean;
  storingSince: Instant;
  /** Last time it gave or asked anything. */
  usefulAt: Instant;
  noise: number;
}

/** A neighbour as it is when it has just connected. */
export function newNeighbour(
  now: Instant,
  place: number,
  { peer, role, has, pool }: Pick<Neighbour, "peer" | "role" | "has"> & { pool: BlockPool },
): Neighbour {
  return {
    place,
    peer,
    role,
    has,
    requests: new BlockList(pool),
    cancelled: new BlockList(pool),
    fetching: newShortList(),
    unasked: 0,
    retryAt: undefined,
    pausedUntil: now,
    offer: undefined,
    offerCount: 0,
    owed: 0,
    isDry: true,
    responseMs: 0,
    delayMs: Number.POSITIVE_INFINITY,
    timeouts: 0,
    briskMs: 0,
    lastBlockAt: now,
    isStoring: false,
    storingSince: now,
    usefulAt: now,
    noise: 0,
  };
}

/** What it is the source of by a piece. */
export function fetchOf({ fetching }: Neighbour, piece: number): Fetch | undefined {
  for (const fetch of fetching) if (fetch.piece === piece) return fetch;
  return undefined;
}

/** True when it may be asked for the piece now. */
export function isUsable(neighbour: Neighbour, piece: number, now: Instant): boolean {
  if (!neighbour.has.has(piece) || neighbour.pausedUntil > now) return false;
  const retryAt = neighbour.retryAt?.get(piece);
  return retryAt === undefined || retryAt <= now;
}

/** True when its blocks are late or take long, so that someone else should be asked too. */
export function isSlow(neighbour: Neighbour, now: Instant): boolean {
  if (neighbour.timeouts > 0 || neighbour.briskMs > BRISK_MS_MAX) return true;
  const waitingSince = waitingFrom(neighbour);
  return waitingSince !== undefined && now - waitingSince >= BRISK_MS_MAX;
}

/** Since when we wait for its next block; undefined when it owes none, or we still write its last. */
export function waitingFrom(neighbour: Neighbour): Instant | undefined {
  if (neighbour.requests.length === 0 || neighbour.isStoring) return undefined;
  return Math.max(neighbour.requests.firstAt, neighbour.lastBlockAt);
}

/** Gives up what was asked of a piece; returns how many requests that were. */
export function giveUp(neighbour: Neighbour, piece: number): number {
  const { requests, cancelled } = neighbour;
  const count = requests.takePiece(piece, cancelled);
  while (cancelled.length > CANCELLED_MAX) cancelled.shift();
  return count;
}

/** Learns from a block of so many bytes, and from when it was asked, how fast it is. */
export function noteBlock(
  neighbour: Neighbour,
  bytes: number,
  askedAt: Instant,
  now: Instant,
): void {
  const tookMs = now - Math.max(askedAt, neighbour.lastBlockAt);
  const responseMs = Math.max(now - askedAt, RESPONSE_MS_MIN);
  const briskMs = (tookMs * BRISK_BYTES) / Math.max(bytes, BLOCK_BYTES_SHORT);
  neighbour.briskMs = (3 * neighbour.briskMs + briskMs) / 4;
  neighbour.responseMs =
    neighbour.responseMs === 0 ? responseMs : (3 * neighbour.responseMs + responseMs) / 4;
  neighbour.delayMs = Math.min(responseMs, neighbour.delayMs * DELAY_RISE);
  neighbour.lastBlockAt = now;
  neighbour.usefulAt = now;
  neighbour.timeouts = 0;
}

/** It was too slow to be left with a piece: it counts as slow until it gives a block in time. */
export function noteSlow(neighbour: Neighbour): void {
  neighbour.briskMs = Math.max(neighbour.briskMs, BRISK_MS_MAX + 1);
}

/** Forgives it the time that we took to write its block. */
export function noteStored(neighbour: Neighbour, now: Instant): void {
  if (!neighbour.isStoring) return;
  const tookMs = now - neighbour.storingSince;
  neighbour.isStoring = false;
  neighbour.lastBlockAt = Math.max(neighbour.lastBlockAt, now);
  if (tookMs > 0) neighbour.requests.delay(tookMs);
}
