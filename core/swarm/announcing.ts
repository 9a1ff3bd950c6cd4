// Tells neighbours of pieces that became whole. A message costs more than the numbers in it, so each
// neighbour hears of several together; but their turns are spread, so that whatever is new is told to
// somebody at once.
import type { Instant } from "../machine.ts";
import type { Alarm } from "./alarm.ts";
import type { SwarmEffect } from "./facts.ts";
import { HAVE_MS, HAVE_PIECES } from "./limits.ts";
import type { PeerId } from "./message.ts";

interface Listener {
  readonly peer: PeerId;
  /** Pieces of the log that it was told of. */
  told: number;
  toldAt: Instant;
  /** It is its turn when the log is so much longer than a multiple of HAVE_PIECES. */
  readonly phase: number;
}

export class Announcing {
  readonly #alarm: Alarm;
  /** Pieces in the order in which they became whole. */
  readonly #log: number[] = [];
  readonly #listeners = new Map<PeerId, Listener>();
  #joined = 0;

  constructor(alarm: Alarm) {
    this.#alarm = alarm;
  }

  /** A neighbour hears of what becomes whole from now on. */
  add(peer: PeerId): void {
    const phase = this.#joined++ % HAVE_PIECES;
    const told = this.#log.length;
    const toldAt = Number.NEGATIVE_INFINITY;
    this.#listeners.set(peer, { peer, told, toldAt, phase });
  }

  remove(peer: PeerId): void {
    this.#listeners.delete(peer);
  }

  /** A piece became whole: tells those whose turn it is, or who have not heard for a while. */
  complete(now: Instant, piece: number, effects: SwarmEffect[]): void {
    this.#log.push(piece);
    const turn = this.#log.length % HAVE_PIECES;
    for (const listener of this.#listeners.values()) {
      if (listener.phase === turn || listener.toldAt + HAVE_MS <= now) {
        this.#tell(now, listener, effects);
      }
    }
    this.#alarm.set(now + HAVE_MS);
  }

  /** Tells those who have not heard for a while. */
  expire(now: Instant, effects: SwarmEffect[]): void {
    for (const listener of this.#listeners.values()) {
      if (listener.told === this.#log.length) continue;
      if (listener.toldAt + HAVE_MS <= now) this.#tell(now, listener, effects);
      else this.#alarm.set(now + HAVE_MS);
    }
  }

  #tell(now: Instant, listener: Listener, effects: SwarmEffect[]): void {
    const pieces = this.#log.slice(listener.told);
    listener.told = this.#log.length;
    listener.toldAt = now;
    effects.push({ kind: "send", to: listener.peer, message: { kind: "have", pieces } });
  }
}
