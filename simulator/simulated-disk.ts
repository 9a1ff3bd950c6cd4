// What the disk of a simulated peer holds of pieces that are not whole: how far they are written, who gave
// what, and whether any of it is wrong. It throws where a machine commands what a store could not do.
import type { Block, PeerId } from "../core/swarm/message.ts";
import { linkTo, type SimulatedPeer } from "./simulated-peer.ts";

/** Writes a block of a piece of so many bytes. */
export function store(
  peer: SimulatedPeer,
  from: PeerId,
  { piece, offset, bytes }: Block,
  pieceBytes: number,
): void {
  if (peer.held.has(piece)) throw new Error(`piece ${piece} is whole and written again`);
  const isBad = linkTo(peer, from)?.other.plan.conduct === "corrupt";
  // Of a piece that comes in one block nothing has to be kept.
  if (!isBad && offset === 0 && bytes === pieceBytes) return;
  const part = peer.parts.get(piece) ?? { bytes: 0, givers: new Set(), isBad: false };
  if (part.bytes !== offset) throw new Error(`piece ${piece} is written out of order`);
  peer.parts.set(piece, part);
  part.bytes += bytes;
  part.givers.add(from);
  part.isBad ||= isBad;
}

/** Compares a piece of so many bytes with its digest; true when it is wrong. Forgets its parts. */
export function compare(peer: SimulatedPeer, piece: number, pieceBytes: number): boolean {
  const part = peer.parts.get(piece);
  if (part === undefined) return false;
  peer.parts.delete(piece);
  if (part.bytes !== pieceBytes) {
    throw new Error(`piece ${piece} is compared when ${part.bytes} bytes of it are stored`);
  }
  const [giver, ...others] = part.givers;
  if (part.isBad && giver !== undefined && others.length === 0) {
    peer.corrupt.set(giver, (peer.corrupt.get(giver) ?? 0) + 1);
  }
  return part.isBad;
}
