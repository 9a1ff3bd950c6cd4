// Which of the stored pieces is compared with its digest next, and when: all packs in turn, piece by piece, so
// slowly that neither disk nor processor notice. So what rots is found before somebody needs it.
import type { Instant } from "../machine.ts";
import { SCRUB_RATE, SCRUB_REST_MS } from "./limits.ts";

/** What is kept of one pack. */
export interface StoredPack {
  readonly pieceCount: number;
  has(piece: number): boolean;
  pieceBytes(piece: number): number;
}

export class ScrubRound {
  /** Where the round goes on. */
  #pack = "";
  #piece = 0;
  #dueAt: Instant;

  /** What has just been opened was compared then: the round begins after a rest. */
  constructor(now: Instant) {
    this.#dueAt = now + SCRUB_REST_MS;
  }

  /** The piece to compare now; undefined: it is too early, or nothing is stored. `packs` are by name. */
  next(
    now: Instant,
    packs: ReadonlyMap<string, StoredPack>,
  ): { readonly pack: string; readonly piece: number } | undefined {
    if (now < this.#dueAt) return undefined;
    const names = [...packs.keys()];
    const at = names.indexOf(this.#pack);
    // Of a pack that is gone the round goes on with the first; its own beginning comes last.
    const first = at < 0 ? 0 : this.#piece;
    for (let turn = 0; turn <= names.length; turn += 1) {
      const pack = names[(Math.max(0, at) + turn) % names.length];
      const stored = pack === undefined ? undefined : packs.get(pack);
      if (pack === undefined || stored === undefined) break;
      const piece = firstHeld(stored, turn === 0 ? first : 0);
      if (piece === undefined) continue;
      this.#pack = pack;
      this.#piece = piece + 1;
      this.#dueAt = now + stored.pieceBytes(piece) / SCRUB_RATE;
      return { pack, piece };
    }
    this.#dueAt = now + SCRUB_REST_MS;
    return undefined;
  }
}

function firstHeld(stored: StoredPack, from: number): number | undefined {
  for (let piece = from; piece < stored.pieceCount; piece += 1) if (stored.has(piece)) return piece;
  return undefined;
}
