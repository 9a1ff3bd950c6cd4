// The policy of what to ask whom: rarest piece first among agents; of a relay only what no brisk
// agent has, and of several relays the one that the piece hashes to. Pure, so that it can be swapped.
import type { Instant } from "../machine.ts";
import type { PeerId, PeerRole } from "./message.ts";
import { isSlow, isUsable, type Neighbour } from "./neighbour.ts";

/** What the policy looks at. */
export interface ChoiceView {
  readonly now: Instant;
  readonly role: PeerRole;
  readonly neighbours: ReadonlyMap<PeerId, Neighbour>;
  /** Agents among the neighbours that have a piece. */
  readonly agentCopies: Uint16Array;
}

/**
 * The piece to ask of `source` next: one that is `begun` and lost its source, as its end frees what
 * others wait for; else the rarest of `missing`, in whose order ties are broken. Undefined: none.
 */
export function choosePiece(
  view: ChoiceView,
  source: Neighbour,
  begun: Iterable<number>,
  missing: readonly number[],
): number | undefined {
  if (source.has.count === 0) return undefined;
  for (const piece of begun) {
    if (isUsable(source, piece, view.now) && mayAsk(view, source, piece)) return piece;
  }
  const copiesMin = source.role === "agent" ? 1 : 0;
  let rarest: number | undefined;
  let copiesLeast = Number.POSITIVE_INFINITY;
  for (const piece of missing) {
    const copies = view.agentCopies[piece] ?? 0;
    if (copies >= copiesLeast || !isUsable(source, piece, view.now)) continue;
    if (!mayAsk(view, source, piece)) continue;
    rarest = piece;
    copiesLeast = copies;
    if (copies <= copiesMin) break;
  }
  return rarest;
}

/** True when the policy lets us ask this source, which has the piece, rather than another. */
export function mayAsk(view: ChoiceView, source: Neighbour, piece: number): boolean {
  if (source.role === "agent" || view.role === "relay") return true;
  if ((view.agentCopies[piece] ?? 0) > 0) {
    for (const other of view.neighbours.values()) {
      if (other.role !== "agent" || isSlow(other, view.now)) continue;
      if (isUsable(other, piece, view.now)) return false;
    }
  }
  const weight = weightOf(source, piece);
  for (const other of view.neighbours.values()) {
    if (other === source || other.role !== "relay" || isSlow(other, view.now)) continue;
    // One that lends the piece will have it handed on: asking the next relay would repeat the work.
    if (other.pausedUntil > view.now || !other.has.has(piece)) continue;
    if (weightOf(other, piece) > weight) return false;
  }
  return true;
}

/** The highest of the relays is the one to ask for the piece. */
function weightOf(relay: Neighbour, piece: number): number {
  let mixed = Math.imul(relay.hash ^ Math.imul(piece + 1, 0x9e3779b1), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
