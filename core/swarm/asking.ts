// Turns free room in the neighbours' pipelines into requests. What to ask whom is the policy's
// (`piece-choice.ts`); what is under way is the table's (`fetch-table.ts`).

import type { SwarmEffect } from "./facts.ts";
import { isAtRest, nextBlock } from "./fetch.ts";
import type { FetchTable } from "./fetch-table.ts";
import { OUTSTANDING_MAX } from "./limits.ts";
import type { Block } from "./message.ts";
import { isSlow, isUsable, type Neighbour, noteSlow } from "./neighbour.ts";
import { type ChoiceView, choosePiece, mayAsk } from "./piece-choice.ts";

/** Asks one neighbour for as much as may be asked of it; all of them when room had run out. */
export function ask(
  view: ChoiceView,
  table: FetchTable,
  neighbour: Neighbour,
  effects: SwarmEffect[],
): void {
  if (table.outstanding >= OUTSTANDING_MAX - 1) {
    askAll(view, table, effects);
    return;
  }
  while (askOne(view, table, neighbour, effects));
}

/** Asks all neighbours, a block each in turn: agents, then relays for what is left, then slow ones. */
export function askAll(view: ChoiceView, table: FetchTable, effects: SwarmEffect[]): void {
  const rank = (one: Neighbour) =>
    (isSlow(one, view.now) ? 2 : 0) + (one.role === "relay" ? 1 : 0) + 4 * one.timeouts;
  let able = [...view.neighbours.values()].sort((a, b) => rank(a) - rank(b));
  while (able.length > 0) able = able.filter((one) => askOne(view, table, one, effects));
}

function askOne(
  view: ChoiceView,
  table: FetchTable,
  neighbour: Neighbour,
  effects: SwarmEffect[],
): boolean {
  if (neighbour.pausedUntil > view.now || table.outstanding >= OUTSTANDING_MAX) return false;
  if (neighbour.requests.length >= neighbour.depth) return false;
  const block = blockOfBegun(table, neighbour) ?? blockOfNew(view, table, neighbour, effects);
  if (block === undefined) return false;
  table.asked(neighbour, block, view.now);
  effects.push({ kind: "send", to: neighbour.peer, message: { kind: "request", ...block } });
  return true;
}

function blockOfBegun(table: FetchTable, neighbour: Neighbour): Block | undefined {
  for (const piece of neighbour.fetching) {
    const fetch = table.get(piece);
    const block = fetch === undefined ? undefined : nextBlock(fetch);
    if (block !== undefined) return block;
  }
  return undefined;
}

function blockOfNew(
  view: ChoiceView,
  table: FetchTable,
  neighbour: Neighbour,
  effects: SwarmEffect[],
): Block | undefined {
  const piece =
    choosePiece(view, neighbour, table.orphans, table.waiting) ??
    takeOver(view, table, neighbour, effects);
  return piece === undefined ? undefined : nextBlock(table.assign(piece, neighbour, effects));
}

/** With nothing else to ask of a brisk neighbour, it goes on with what a slow one does not end. */
function takeOver(
  view: ChoiceView,
  table: FetchTable,
  neighbour: Neighbour,
  effects: SwarmEffect[],
): number | undefined {
  if (isSlow(neighbour, view.now)) return undefined;
  for (const fetch of table.all()) {
    if (fetch.source === undefined || fetch.source === neighbour.peer) continue;
    const source = view.neighbours.get(fetch.source);
    if (source === undefined || !isSlow(source, view.now) || !isAtRest(fetch)) continue;
    if (!isUsable(neighbour, fetch.piece, view.now)) continue;
    if (!mayAsk(view, neighbour, fetch.piece)) continue;
    table.orphan(fetch, effects);
    noteSlow(source);
    return fetch.piece;
  }
  return undefined;
}
