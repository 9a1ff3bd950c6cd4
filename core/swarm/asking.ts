// The policy of how much to ask, and whom: enough that the wires are full and a few blocks queue behind,
// each time of the neighbour that answers soonest for what it owes us already. Which piece is
// `piece-choice.ts`; what is under way is the table's (`fetch-table.ts`).

import type { Instant } from "../machine.ts";
import type { Alarm } from "./alarm.ts";
import type { SwarmEffect } from "./facts.ts";
import { isAtRest } from "./fetch.ts";
import type { FetchTable } from "./fetch-table.ts";
import type { LanePlace } from "./lane.ts";
import {
  ASKED_BYTES,
  LARGE_SOURCES,
  LATE_MS_MIN,
  OUTSTANDING_MAX,
  PIPE_GAIN,
  QUEUED_PER_NEIGHBOUR_MAX,
} from "./limits.ts";
import type { PeerId } from "./message.ts";
import { isSlow, isUsable, type Neighbour, noteSlow, waitingFrom } from "./neighbour.ts";
import type { OwnPieces } from "./own-pieces.ts";
import type { Pace } from "./pace.ts";
import { rarestPiece } from "./piece-choice.ts";
import type { Random } from "./random.ts";
import { take } from "./short-list.ts";
import type { Spread } from "./spread.ts";

/** Fewer sources at a time could all be slow ones. */
const SOURCES_MIN = 3;
/** Of a source that is asked for large pieces: one block that leaves and the next. */
const BLOCKS_MIN = 2;

/** What `spread` is of a piece that only one neighbour has. */
const COPIES_MIN = 2;

/** What the policy looks at. */
export interface AskingView {
  readonly random: Random;
  readonly alarm: Alarm;
  readonly lane: LanePlace;
  readonly neighbours: ReadonlyMap<PeerId, Neighbour>;
  /** Those of them with an offer that is not answered. */
  readonly offering: Neighbour[];
  /** Those whose offer waits for rows of the table. */
  readonly early: Neighbour[];
  /** Those of them that were slow when last looked at. */
  readonly slow: Neighbour[];
  readonly table: FetchTable;
  readonly pace: Pace;
  /** Of a piece that is not here: twice the neighbours that have it. */
  readonly spread: Spread;
  readonly pieces: OwnPieces;
}

/** Asks for as much as may be asked now: first what is begun, then what is offered, then by ourselves. */
export function ask(view: AskingView, now: Instant, effects: SwarmEffect[]): void {
  const { table, neighbours, offering, slow, pace, lane, pieces } = view;
  const offeredShare = offering.length / Math.max(1, neighbours.size);
  const windowBytes = ASKED_BYTES * (1 + offeredShare) + PIPE_GAIN * pace.pipeBytes;
  const mayBytes = lane.boundOf(windowBytes);
  const window = Math.min(OUTSTANDING_MAX, Math.ceil(mayBytes / pace.blockBytes));
  const enough = pieces.isOfBlocks ? LARGE_SOURCES : SOURCES_MIN;
  const sourcesMin = mayBytes < windowBytes ? 0 : enough;
  lane.want(isIdle(table) ? undefined : windowBytes);
  if (window === 0) lane.rest();
  if (window === 0 || !isOpen(view, now)) return;
  // What a relay offers it gives to nobody else: it is taken at once, beyond what else is asked.
  for (let at = offering.length - 1; at >= 0; at -= 1) {
    const one = offering[at] as Neighbour;
    if (one.role === "relay") answer(view, one, now, effects);
  }
  if (table.unasked > 0) {
    for (const one of table.sources) askBegun(view, one, window, now, effects);
  }
  // What slow ones owe keeps nobody else from being asked.
  let owed = table.outstanding;
  for (const one of slow) owed -= one.requests.length;
  if (table.orphans.length > 0 && owed < window) owed += adopt(view, window, now, effects);
  while (offering.length > 0 && (owed < window || table.sources.length < sourcesMin)) {
    if (!isOpen(view, now)) break;
    const source = soonest(offering, now, true);
    if (source === undefined) break;
    answer(view, source, now, effects);
    owed += askBegun(view, source, window, now, effects);
  }
  while (owed === 0 && isOpen(view, now)) {
    const source = soonest([...neighbours.values()], now, false);
    if (source === undefined) break;
    const piece = choose(view, source, now);
    if (piece === undefined) source.isDry = true;
    else {
      table.assign(piece, source, effects);
      owed += askBegun(view, source, window, now, effects);
    }
  }
  if (owed < window) lane.want(undefined);
  // While pieces wait for a source there is enough to ask for besides what slow ones hold.
  if (owed < window && (table.waiting.count === 0 || (table.sources.length > 0 && owed === 0))) {
    takeOver(view, window, now, effects);
  }
}

/** Nothing is left to be asked for. */
function isIdle({ waiting, unasked }: FetchTable): boolean {
  return waiting.count === 0 && unasked === 0;
}

/** False when the limit says later: nobody is asked, and no offer answered, before the alarm. */
function isOpen(view: AskingView, now: Instant): boolean {
  const { lane, table, alarm } = view;
  // Who has nothing to ask for takes no turn from others.
  if (isIdle(table)) {
    lane.rest();
    return true;
  }
  const waitsUntil = lane.waitsUntil(now);
  if (waitsUntil !== undefined) alarm.set(waitsUntil);
  return waitsUntil === undefined;
}

/**
 * Takes the rarest of the pieces that a neighbour offers, or says that we need none of them. Where the table grows,
 * pieces come faster than their rows now and then: to decline what is not known yet would be to decline it for good.
 */
function answer(view: AskingView, source: Neighbour, now: Instant, effects: SwarmEffect[]): void {
  const { table, offering, early } = view;
  const offer = source.offer ?? [];
  source.offer = undefined;
  take(offering, source);
  let taken = 0;
  for (; taken < source.offerCount; taken += 1) {
    const piece = rarestOf(view, source, offer, now);
    if (piece === undefined) break;
    table.assign(piece, source, effects);
  }
  if (taken > 0) return;
  if (offer.some((piece) => piece >= view.pieces.count)) {
    source.offer = offer;
    early.push(source);
    return;
  }
  const message = { kind: "decline", piece: offer[0] ?? 0 } as const;
  effects.push({ kind: "send", to: source.peer, message });
}

function rarestOf(
  { table, spread }: AskingView,
  source: Neighbour,
  pieces: readonly number[],
  now: Instant,
): number | undefined {
  let rarest: number | undefined;
  let copiesLeast = Number.POSITIVE_INFINITY;
  for (const piece of pieces) {
    const copies = spread.of(piece);
    if (copies >= copiesLeast || !table.waiting.has(piece)) continue;
    if (!isUsable(source, piece, now)) continue;
    rarest = piece;
    copiesLeast = copies;
  }
  return rarest;
}

function mayAsk({ requests, pausedUntil }: Neighbour, now: Instant): boolean {
  return requests.length < QUEUED_PER_NEIGHBOUR_MAX && pausedUntil <= now;
}

/** The neighbour that may be asked, and by what it took lately would answer first. */
function soonest(
  neighbours: readonly Neighbour[],
  now: Instant,
  isOffering: boolean,
): Neighbour | undefined {
  let best: Neighbour | undefined;
  let leastMs = Number.POSITIVE_INFINITY;
  for (const one of neighbours) {
    if (!isOffering && one.isDry) continue;
    if (!mayAsk(one, now)) continue;
    if (!isOffering && one.requests.length > 0 && isSlow(one, now)) continue;
    const answerMs = (one.responseMs + 1) * (one.requests.length + 1) * (1 + one.timeouts);
    if (answerMs >= leastMs) continue;
    best = one;
    leastMs = answerMs;
  }
  return best;
}

/**
 * Asks a source for blocks of what it gives us until it owes us a window, or, as others give as well, its part of one;
 * returns how many more.
 */
function askBegun(
  view: AskingView,
  source: Neighbour,
  window: number,
  now: Instant,
  effects: SwarmEffect[],
): number {
  const { table, pace, lane, pieces } = view;
  const { length } = source.requests;
  const part = Math.max(BLOCKS_MIN, Math.ceil(window / Math.max(1, table.sources.length)));
  const most = pieces.isOfBlocks ? Math.min(part, window) : window;
  while (source.unasked > 0 && mayAsk(source, now) && source.requests.length < most) {
    if (!isOpen(view, now)) break;
    const block = table.ask(source, pace.blockBytes, now);
    if (block === undefined) break;
    lane.pass(now, block.bytes);
    const { piece, offset, bytes } = block;
    const message = { kind: "request", piece, offset, bytes } as const;
    effects.push({ kind: "send", to: source.peer, message });
  }
  return source.requests.length - length;
}

/** The piece to ask of a source without an offer. */
function choose(view: AskingView, source: Neighbour, now: Instant): number | undefined {
  const { table, spread, random } = view;
  return rarestPiece(table.waiting, source.has, spread.counts, {
    start: Math.floor(random() * view.pieces.count),
    copiesMin: COPIES_MIN,
    isLeft: source.retryAt === undefined ? undefined : (one) => !isUsable(source, one, now),
  });
}

/** Others go on with what lost its source: nobody offers it, as we said that it was coming. */
function adopt(view: AskingView, window: number, now: Instant, effects: SwarmEffect[]): number {
  const { table, neighbours } = view;
  let asked = 0;
  for (const piece of [...table.orphans]) {
    if (asked >= window || !isOpen(view, now)) break;
    // Who is not asked for all that it gives takes no more on: the piece is had of another, or a little later.
    const brisk = briskWith(neighbours, piece, now, (one) => one.unasked === 0);
    if (brisk === undefined) continue;
    table.assign(piece, brisk, effects);
    asked += askBegun(view, brisk, window, now, effects);
  }
  return asked;
}

/** With nothing else to ask, brisk neighbours go on with what slow ones do not end, and idle ones with what is late. */
function takeOver(view: AskingView, window: number, now: Instant, effects: SwarmEffect[]): void {
  const { table, neighbours, slow } = view;
  for (const source of [...table.sources]) {
    const wasSlow = isSlow(source, now);
    if (!wasSlow && table.waiting.count > 0) continue;
    for (const fetch of [...source.fetching]) {
      if (!isAtRest(fetch)) continue;
      const brisk = briskWith(neighbours, fetch.piece, now);
      if (brisk === undefined || (!wasSlow && !isLate(source, brisk, now))) continue;
      table.orphan(fetch, effects);
      if (wasSlow) noteSlow(source);
      if (wasSlow && !slow.includes(source)) slow.push(source);
      table.assign(fetch.piece, brisk, effects);
      askBegun(view, brisk, window, now, effects);
    }
  }
}

/** True when an idle neighbour would by its habit have answered twice while we waited for a source. */
function isLate(source: Neighbour, idle: Neighbour, now: Instant): boolean {
  const since = waitingFrom(source);
  if (since === undefined || idle.requests.length > 0 || idle.responseMs === 0) return false;
  return now - since >= Math.max(LATE_MS_MIN, 2 * idle.responseMs);
}

/** Of the neighbours that have a piece and are not slow the one that owes us least. */
function briskWith(
  neighbours: ReadonlyMap<PeerId, Neighbour>,
  piece: number,
  now: Instant,
  mayGive: (one: Neighbour) => boolean = () => true,
): Neighbour | undefined {
  let best: Neighbour | undefined;
  for (const one of neighbours.values()) {
    if (!isUsable(one, piece, now) || isSlow(one, now) || !mayAsk(one, now)) continue;
    if (!mayGive(one)) continue;
    if (best === undefined || one.requests.length < best.requests.length) best = one;
  }
  return best;
}
