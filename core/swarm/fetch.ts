// One piece on its way here: how far it is asked, arrived and stored, and who gave its blocks.
import type { Block, PeerId } from "./message.ts";

/** asked >= arrived >= stored, all in bytes from the start of the piece. */
export interface Fetch {
  piece: number;
  bytes: number;
  /** Whom its blocks are asked of; undefined while nobody is. */
  source: PeerId | undefined;
  asked: number;
  arrived: number;
  stored: number;
  /** Who gave the first block, and who others where there are several. */
  giver: PeerId | undefined;
  others: Set<PeerId> | undefined;
  /** It was corrupt once with several givers: now one must give all, so that blame is clear. */
  isSuspect: boolean;
  /** All is stored, and its digest is being compared. */
  isFinishing: boolean;
}

/** One that is to be begun. */
export function newFetch(): Fetch {
  return {
    piece: 0,
    bytes: 0,
    source: undefined,
    asked: 0,
    arrived: 0,
    stored: 0,
    giver: undefined,
    others: undefined,
    isSuspect: false,
    isFinishing: false,
  };
}

/** Makes of one that is over, or new, that of a piece. */
export function begin(fetch: Fetch, piece: number, bytes: number, isSuspect: boolean): void {
  fetch.piece = piece;
  fetch.bytes = bytes;
  fetch.source = undefined;
  fetch.isSuspect = isSuspect;
  fetch.isFinishing = false;
  restart(fetch);
}

/** True when all of it is asked of its source. */
export function isAsked(fetch: Fetch): boolean {
  return fetch.asked >= fetch.bytes;
}

/** The block to ask next of what is not all asked, of about `bytesMax` and not more; moves on. */
export function nextBlock(fetch: Fetch, bytesMax: number): Block {
  const offset = fetch.asked;
  const left = fetch.bytes - offset;
  // Blocks of a piece are alike: a short last one would cost as much to handle as the others.
  const bytes = Math.ceil(left / Math.ceil(left / bytesMax));
  fetch.asked += bytes;
  return { piece: fetch.piece, offset, bytes };
}

/** True when another source may go on: nothing of it is being written or compared. */
export function isAtRest(fetch: Fetch): boolean {
  return fetch.arrived === fetch.stored && !fetch.isFinishing;
}

/** Starts over, as if nothing had come. */
export function restart(fetch: Fetch): void {
  fetch.asked = 0;
  fetch.arrived = 0;
  fetch.stored = 0;
  fetch.giver = undefined;
  fetch.others = undefined;
}

/** Notes who gave a block. */
export function noteGiver(fetch: Fetch, giver: PeerId): void {
  if (fetch.giver === undefined) fetch.giver = giver;
  if (fetch.giver === giver) return;
  fetch.others ??= new Set();
  fetch.others.add(giver);
}

/** All who gave a block, first giver first. */
export function giversOf(fetch: Fetch): PeerId[] {
  return fetch.giver === undefined ? [] : [fetch.giver, ...(fetch.others ?? [])];
}
