// Where a peer keeps the pieces of one pack: blocks in, verified pieces out. The interface is all the
// swarm knows of storage; an agent has one over a sparse file, a relay one over its region's blobs.
// It does not decide what is fetched and knows no peers.
import { BlobFullError } from "../blobs/blob-store.ts";

/** What comparing a piece with its digest gave. */
export type Verdict = "verified" | "corrupt";

/** The pieces of one pack; every piece is addressed by its number in the pack's piece table. */
export interface PieceStore {
  /** Rows of the piece table known so far. */
  readonly pieceCount: number;
  /** Encoded bytes of a piece. */
  pieceBytes(piece: number): number;
  /** Appends 44-byte rows to the piece table. */
  extend(rows: Uint8Array): void;
  /** True once the piece is whole and verified. */
  has(piece: number): boolean;
  /**
   * Stores one block of an unfinished piece; `offset` must equal `received(piece)`. One write per piece
   * at a time; `bytes` may be reused when it has returned, or its promise is settled. Does nothing for a
   * piece that it has by now. Throws `PieceStoreFull` on a full disk, after which the same block can be
   * written again.
   */
  write(piece: number, offset: number, bytes: Uint8Array): void | Promise<void>;
  /**
   * Compares the digest of a piece whose bytes are all there. Verified: it is recorded durably enough
   * that a restart finds it or drops it. Corrupt: its bytes are forgotten. May be called again when it
   * threw, and gives "verified" for a piece that it has.
   */
  finish(piece: number): Verdict | Promise<Verdict>;
  /** Bytes so far of an unfinished piece. */
  received(piece: number): number;
  /** Forgets the bytes of an unfinished piece; nothing for a piece that it has. */
  discard(piece: number): void;
  /** Fills `target` from a piece it has, from `offset` on; throws when the bytes cannot be read. */
  read(piece: number, offset: number, target: Uint8Array): void | Promise<void>;
  /** A peer says that it got wrong bytes from here: each piece is compared before it is given out again. */
  doubt?(): void;
  /** Compares a piece that it has with its digest; false: it has rotted, and `read` gives it to nobody. */
  isSound?(piece: number): Promise<boolean>;
  /**
   * Forgets a piece of which `read` threw `RottenPieceError`, or that is not sound, so that it can be written anew; false where it
   * cannot be.
   */
  forget?(piece: number): boolean;
  /** Ends the use of it, after the writes that are under way. */
  close(): Promise<void>;
}

/** A piece that is not any more what was stored: it is given to nobody. */
export class RottenPieceError extends Error {
  override readonly name = "RottenPieceError";

  constructor(where: string, piece: number) {
    super(`${where} has rotted in piece ${piece}`);
  }
}

/** The disk has no room for a block: nothing is lost, the write may be tried again after freeing some. */
export class PieceStoreFull extends Error {
  readonly code = "ENOSPC";

  constructor(where: string, options?: ErrorOptions) {
    super(`no space left for pieces in ${where}: free some, then resume`, options);
    this.name = "PieceStoreFull";
  }
}

/** True for any error that says that the disk or its quota is full. */
export function isStoreFull(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === "ENOSPC" || code === "EDQUOT" || error instanceof BlobFullError;
}
