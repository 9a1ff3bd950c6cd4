// Which of several relays offers a piece first: the one that weighs most for it, so that relays divide
// the pieces of a pack without a word between them.
import type { PeerId } from "./message.ts";
import type { Neighbour } from "./neighbour.ts";

/** True when `self` weighs more for the piece than every relay among its neighbours. */
export function isShareOf(self: PeerId, neighbours: Iterable<Neighbour>, piece: number): boolean {
  const weight = weightOf(self, piece);
  for (const { role, peer } of neighbours) {
    if (role === "relay" && weightOf(peer, piece) > weight) return false;
  }
  return true;
}

function weightOf(relay: PeerId, piece: number): number {
  let mixed = Math.imul(hashOf(relay) ^ Math.imul(piece + 1, 0x9e3779b1), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}
