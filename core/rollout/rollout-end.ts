// What can be said at the end of a rollout: whether all machines are back, whom it did not reach, why
// its time was up.
import type { Instant } from "../machine.ts";
import type { RelayBoard } from "./relay-board.ts";
import type { RolloutBook } from "./rollout-book.ts";
import { totalsOf } from "./tally.ts";

/** Relays that a message names at most. */
const NAMED_MAX = 5;

/** Whether every machine that switched is back, by the word of every relay. */
export function areAllBack(at: Instant, board: RelayBoard, book: RolloutBook): boolean {
  if (board.isMissingAny(at) || board.online.length === 0) return false;
  const back = board
    .caughtUp(at, book.revision)
    .filter(({ tally }) => tally?.isRollback && tally.toRevert + tally.activating === 0);
  if (back.length < board.online.length) return false;
  // How many machines such a relay has is not known, so no count elsewhere can speak for them.
  if (board.uncounted(book.row.permittedRelays).length > 0) return false;
  // Machines of a relay that is away are back only if they are counted elsewhere.
  const most = Math.max(board.machinesMost, ...book.row.waves.map(({ matching }) => matching));
  return !board.isAnyAway || board.machines >= most;
}

/** Whom a rollout that succeeded did not reach; empty: nobody. */
export function leftOver(board: RelayBoard, book: RolloutBook): string {
  if (book.row.waves.every(({ size }) => size === 0)) {
    return "no machine matches; machines that come later will run it";
  }
  const { matching, active } = totalsOf(board.online, book.row.wave);
  const left = Math.max(0, matching - active);
  return left === 0 ? "" : `${left} matching machines do not run it; they go on trying`;
}

/** Why a state's deadline ends the rollout. */
export function expiry(
  { row }: RolloutBook,
  board: RelayBoard,
  {
    missingRegions,
    waitsFor,
  }: {
    readonly missingRegions: readonly string[];
    /** What its gate waited for; empty: not known. */
    readonly waitsFor: string;
  },
): { readonly reason: string; readonly message: string } {
  if (row.state === "replicating") {
    const regions = missingRegions.join(", ") || "no region is known";
    const message = `replication: ${regions}: not every pack was there in time`;
    return { reason: "replication", message };
  }
  const silent = row.state === "rolling_back" ? board.uncounted(row.permittedRelays) : [];
  const names = silent.slice(0, NAMED_MAX).join(", ");
  const who = silent.length === 0 ? "" : `; ${silent.length} relays not heard again: ${names}`;
  const isGated = row.state === "activating" || row.state === "baking";
  const what = isGated && waitsFor !== "" ? `: ${waitsFor}` : "";
  const message = `${row.state.replace("_", " ")} took longer than its deadline${what}${who}`;
  return { reason: "deadline", message };
}
