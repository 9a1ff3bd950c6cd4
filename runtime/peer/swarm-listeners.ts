// Who wants to hear what happens in a swarm: callbacks for pieces, failures and a lack of neighbours, and waits for pieces.
import type { SwarmFailure } from "./swarm.ts";

interface Wait {
  readonly missing: Set<number>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class SwarmListeners {
  readonly #pack: string;
  readonly #has: (piece: number) => boolean;
  readonly #pieceCallbacks = new Set<(piece: number) => void>();
  readonly #failureCallbacks = new Set<(failure: SwarmFailure) => void>();
  readonly #seekCallbacks = new Set<() => void>();
  readonly #waits = new Set<Wait>();
  #isEnded = false;

  constructor(pack: string, has: (piece: number) => boolean) {
    this.#pack = pack;
    this.#has = has;
  }

  onPiece(callback: (piece: number) => void): () => void {
    this.#pieceCallbacks.add(callback);
    return () => this.#pieceCallbacks.delete(callback);
  }

  onFailed(callback: (failure: SwarmFailure) => void): () => void {
    this.#failureCallbacks.add(callback);
    return () => this.#failureCallbacks.delete(callback);
  }

  onSeek(callback: () => void): () => void {
    this.#seekCallbacks.add(callback);
    return () => this.#seekCallbacks.delete(callback);
  }

  /** Resolves when all the pieces are there; rejects at `end`. */
  whenHas(pieces: readonly number[]): Promise<void> {
    const missing = new Set(pieces.filter((piece) => !this.#has(piece)));
    if (missing.size === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const wait = { missing, resolve, reject };
      if (this.#isEnded) reject(this.#leftError());
      else this.#waits.add(wait);
    });
  }

  /** A piece became whole. */
  piece(piece: number): void {
    for (const callback of [...this.#pieceCallbacks]) callback(piece);
    for (const wait of [...this.#waits]) {
      wait.missing.delete(piece);
      if (wait.missing.size > 0) continue;
      this.#waits.delete(wait);
      wait.resolve();
    }
  }

  failed(failure: SwarmFailure): void {
    for (const callback of [...this.#failureCallbacks]) callback(failure);
  }

  /** More neighbours are wanted. */
  seek(): void {
    for (const callback of [...this.#seekCallbacks]) callback();
  }

  /** Nothing more will happen. */
  end(): void {
    this.#isEnded = true;
    for (const wait of this.#waits) wait.reject(this.#leftError());
    this.#waits.clear();
  }

  #leftError(): Error {
    return new Error(`the swarm of pack ${this.#pack} was left before all pieces were there`);
  }
}
