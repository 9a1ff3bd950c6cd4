// What one peer's disk holds of each piece, in virtual time: how much is stored, who gave it, and
// whether some of it is corrupt. Blocks of a piece are written in order, and a whole one never again.
import assert from "node:assert/strict";
import type { Block } from "../../../core/swarm/message.ts";

interface Holding {
  stored: number;
  readonly givers: Set<string>;
  isBad: boolean;
  isWhole: boolean;
}

export class VirtualDisk {
  readonly #holdings = new Map<number, Holding>();

  isWhole(piece: number): boolean {
    return this.#holdings.get(piece)?.isWhole ?? false;
  }

  /** Has a piece by another way. */
  put(piece: number): void {
    this.#holdings.set(piece, { ...emptyHolding(), isWhole: true });
  }

  /** Begins to write a block; it is stored once what is returned is called. */
  write({ piece, offset, bytes }: Block, from: string, isBad: boolean): () => void {
    const holding = this.#holdings.get(piece) ?? emptyHolding();
    this.#holdings.set(piece, holding);
    assert(!holding.isWhole, "a whole piece is written again");
    assert.equal(holding.stored, offset, "blocks are written in order");
    return () => {
      holding.stored += bytes;
      holding.givers.add(from);
      holding.isBad ||= isBad;
    };
  }

  /** Verifies a piece that is stored to its end: a corrupt one is dropped. */
  finish(piece: number, bytes: number): { readonly isBad: boolean; readonly givers: string[] } {
    const holding = this.#holdings.get(piece);
    assert(holding !== undefined && holding.stored === bytes);
    if (holding.isBad) this.#holdings.delete(piece);
    else holding.isWhole = true;
    return { isBad: holding.isBad, givers: [...holding.givers] };
  }

  discard(piece: number): void {
    this.#holdings.delete(piece);
  }

  /** Keeps whole pieces only, as a start does. */
  discardParts(): void {
    for (const [piece, { isWhole }] of this.#holdings) if (!isWhole) this.#holdings.delete(piece);
  }
}

function emptyHolding(): Holding {
  return { stored: 0, givers: new Set(), isBad: false, isWhole: false };
}
