// One pack on this machine: its pieces on disk and our part in its swarm, opened together.
import { rm } from "node:fs/promises";
import { PIECE_ROW_BYTES, PieceTable } from "../../core/release/piece-table.ts";
import type { PackRef } from "../../proto/gen/millrace/v1/release_format.ts";
import { DiskPieceStore } from "../../runtime/peer/disk-piece-store.ts";
import type { Swarm, SwarmBytes } from "../../runtime/peer/swarm.ts";
import type { SwarmNode } from "../../runtime/peer/swarm-node.ts";
import { digestOf } from "../../runtime/release/piece-codec.ts";

/** The rows that came are not those of the pack that a release names: they are to be got again. */
export class WrongTableError extends Error {
  override readonly name = "WrongTableError";
}

/** A pack that is open; who uses it and when it goes is `pack-shelf.ts`'s. */
export class ShelvedPack {
  readonly pack: string;
  readonly store: DiskPieceStore;
  readonly swarm: Swarm;
  readonly #folder: string;
  readonly #tableWaits = new Set<() => void>();
  /** Bytes got that were counted for a release already. */
  #counted = { fromRelay: 0, fromPeers: 0 };

  /** Opens the pack in the folder, which verifies what is there, and enters its swarm. */
  static async open(pack: string, folder: string, node: SwarmNode): Promise<ShelvedPack> {
    const store = await DiskPieceStore.open(folder);
    return new ShelvedPack(pack, folder, store, node.join(pack, store, []));
  }

  private constructor(pack: string, folder: string, store: DiskPieceStore, swarm: Swarm) {
    this.pack = pack;
    this.#folder = folder;
    this.store = store;
    this.swarm = swarm;
  }

  /** Encoded bytes of the pieces held. */
  get bytesHeld(): number {
    let bytes = 0;
    for (let piece = 0; piece < this.store.pieceCount; piece += 1) {
      if (this.store.has(piece)) bytes += this.store.pieceBytes(piece);
    }
    return bytes;
  }

  /** Bytes that its pieces take on the disk: those that are a release's file take none of their own. */
  get bytesOnDisk(): number {
    return this.store.isLent ? 0 : this.bytesHeld;
  }

  /** Takes rows that begin with piece `first`; those known already are left out. */
  addRows(first: number, rows: Uint8Array): void {
    const known = this.store.pieceCount;
    if (first > known) return;
    const fresh = rows.subarray((known - first) * PIECE_ROW_BYTES);
    if (fresh.length === 0) return;
    this.swarm.extend(fresh);
    for (const wake of [...this.#tableWaits]) wake();
  }

  /** Resolves with the whole table once it is here; throws WrongTableError, or when aborted. */
  async whenTable(ref: PackRef, signal: AbortSignal): Promise<PieceTable> {
    while (this.store.pieceCount < ref.pieces) await this.#moreRows(signal);
    const rows = this.store.rows();
    const isRight =
      this.store.pieceCount === ref.pieces && Buffer.compare(digestOf(rows), ref.tableDigest) === 0;
    if (!isRight) {
      throw new WrongTableError(`the piece table of pack ${ref.pack} has another digest`);
    }
    return new PieceTable(rows, `pack ${ref.pack}`);
  }

  /** Bytes that came since the last release that used this pack was whole. */
  bytesUncounted(): Pick<SwarmBytes, "fromRelay" | "fromPeers"> {
    const { fromRelay, fromPeers } = this.swarm.bytes;
    return {
      fromRelay: fromRelay - this.#counted.fromRelay,
      fromPeers: fromPeers - this.#counted.fromPeers,
    };
  }

  /** What came so far has been counted. */
  markCounted(): void {
    const { fromRelay, fromPeers } = this.swarm.bytes;
    this.#counted = { fromRelay, fromPeers };
  }

  /** Resolves when the piece is here; rejects when the store fails, the swarm is left, or on abort. */
  whenHas(piece: number, signal: AbortSignal): Promise<void> {
    if (this.store.has(piece)) return Promise.resolve();
    this.swarm.want([piece]);
    return new Promise((resolve, reject) => {
      const stopFailed = this.swarm.onFailed((failure) => end(new Error(failure.message)));
      const onAbort = (): void => end(signal.reason as Error);
      const end = (error?: Error): void => {
        stopFailed();
        signal.removeEventListener("abort", onAbort);
        if (error === undefined) resolve();
        else reject(error);
      };
      signal.addEventListener("abort", onAbort);
      if (signal.aborted) onAbort();
      else if (this.swarm.failure !== undefined) end(new Error(this.swarm.failure.message));
      else this.swarm.whenHas([piece]).then(() => end(), end);
    });
  }

  /** Leaves the swarm and closes the store. */
  async close(): Promise<void> {
    await this.swarm.leave();
    await this.store.close();
  }

  /** Closes it and deletes its pieces. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #moreRows(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#tableWaits.delete(end);
        signal.removeEventListener("abort", end);
        if (signal.aborted) reject(signal.reason as Error);
        else resolve();
      };
      this.#tableWaits.add(end);
      signal.addEventListener("abort", end);
      if (signal.aborted) end();
    });
  }
}
