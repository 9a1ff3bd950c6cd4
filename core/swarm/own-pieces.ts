// Which pieces of the pack we know, want and have, with their sums. Where they come from is not here.
import { Bitfield } from "./bitfield.ts";
import { BLOCK_BYTES_MAX } from "./limits.ts";

/** The piece table's sizes, and the sets of wanted and held pieces. */
export class OwnPieces {
  /** The first rows as they came, in a list that others may have too; once more come, a list of our own. */
  #bytes: readonly number[] = [];
  #grown: number[] | undefined;
  readonly #have = new Bitfield();
  readonly #named = new Bitfield();
  #wantsAll = false;
  #bytesHave = 0;
  #bytesWanted = 0;
  #wantedCount = 0;
  #wantedHave = 0;

  /** Rows of the table so far. */
  get count(): number {
    return this.#bytes.length;
  }

  /** Pieces held, wanted or not. */
  get have(): Bitfield {
    return this.#have;
  }

  /** Wanted pieces that the table knows, and how many of them are held; bytes are encoded bytes. */
  get progress(): { have: number; wanted: number; bytesHave: number; bytesWanted: number } {
    return {
      have: this.#wantedHave,
      wanted: this.#wantedCount,
      bytesHave: this.#bytesHave,
      bytesWanted: this.#bytesWanted,
    };
  }

  /** True while a wanted piece that the table knows is not held. */
  get isIncomplete(): boolean {
    return this.#wantedHave < this.#wantedCount;
  }

  /** Encoded bytes of a piece of the table. */
  bytesOf(piece: number): number {
    return this.#bytes[piece] ?? 0;
  }

  /** Its pieces, which are alike, come in several blocks at any rate. */
  get isOfBlocks(): boolean {
    return this.bytesOf(0) > BLOCK_BYTES_MAX;
  }

  isMissing(piece: number): boolean {
    return this.#isWanted(piece) && !this.#have.has(piece);
  }

  /** Appends rows; returns the pieces that are missing by it. */
  extend(bytes: readonly number[]): number[] {
    const missing: number[] = [];
    const first = this.#bytes.length;
    if (first === 0) this.#bytes = bytes;
    else {
      this.#grown ??= [...this.#bytes];
      for (const size of bytes) this.#grown.push(size);
      this.#bytes = this.#grown;
    }
    for (let piece = first; piece < this.#bytes.length; piece += 1) {
      if (!this.#isWanted(piece)) continue;
      this.#countWanted(piece);
      if (this.isMissing(piece)) missing.push(piece);
    }
    return missing;
  }

  /** Adds to the wanted pieces; returns those that are missing by it. */
  want(pieces: "all" | readonly number[]): number[] {
    const added = pieces === "all" ? Array(this.count).keys() : pieces;
    const missing: number[] = [];
    for (const piece of added) {
      const isNew = !this.#isWanted(piece);
      this.#named.add(piece);
      if (!isNew || !this.#isWanted(piece)) continue;
      this.#countWanted(piece);
      if (this.isMissing(piece)) missing.push(piece);
    }
    if (pieces === "all") this.#wantsAll = true;
    return missing;
  }

  /** Notes that a piece is held now; false when it was, or when the table does not know it. */
  add(piece: number): boolean {
    if (piece >= this.count || !this.#have.add(piece)) return false;
    if (this.#isWanted(piece)) {
      this.#wantedHave += 1;
      this.#bytesHave += this.bytesOf(piece);
    }
    return true;
  }

  /** Notes that a piece is held no more; false when it was not. */
  remove(piece: number): boolean {
    if (!this.#have.remove(piece)) return false;
    if (this.#isWanted(piece)) {
      this.#wantedHave -= 1;
      this.#bytesHave -= this.bytesOf(piece);
    }
    return true;
  }

  #isWanted(piece: number): boolean {
    return piece < this.count && (this.#wantsAll || this.#named.has(piece));
  }

  #countWanted(piece: number): void {
    this.#wantedCount += 1;
    this.#bytesWanted += this.bytesOf(piece);
    if (!this.#have.has(piece)) return;
    this.#wantedHave += 1;
    this.#bytesHave += this.bytesOf(piece);
  }
}
