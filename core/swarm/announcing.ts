// Tells neighbours of pieces that became whole. A message of its own costs a packet, a write here and a
// read there, far more than the numbers in it: so what is new waits a while for something else that goes
// to the same neighbour, and goes on its own when nothing does, or much is new. The neighbours' turns are
// spread, so that whatever is new is told to somebody at once.
import type { Instant } from "../machine.ts";
import type { Alarm } from "./alarm.ts";
import type { SwarmEffect } from "./facts.ts";
import { HAVE_ALONE_MS, HAVE_MS, HAVE_PIECES } from "./limits.ts";
import type { PeerId } from "./message.ts";
import type { Neighbour } from "./neighbour.ts";

/** A neighbour, how much of the log it was told of, and when. */
interface Listener {
  readonly peer: PeerId;
  told: number;
  toldAt: Instant;
  /** It is its turn when the log is so much longer than a multiple of HAVE_PIECES. */
  readonly phase: number;
}

export class Announcing {
  readonly #alarm: Alarm;
  /** Pieces in the order in which they became whole. */
  readonly #log: number[] = [];
  /** By the neighbour's place. */
  readonly #listeners: (Listener | undefined)[] = [];
  #joined = 0;

  constructor(alarm: Alarm) {
    this.#alarm = alarm;
  }

  /** A neighbour hears of what becomes whole from now on. */
  add({ place, peer }: Neighbour): void {
    const phase = this.#joined++ % HAVE_PIECES;
    const toldAt = Number.NEGATIVE_INFINITY;
    this.#listeners[place] = { peer, told: this.#log.length, toldAt, phase };
  }

  remove({ place }: Neighbour): void {
    this.#listeners[place] = undefined;
  }

  /** A piece became whole: tells those whose turn it is, or who have not heard for long. */
  complete(now: Instant, piece: number, effects: SwarmEffect[]): void {
    this.#log.push(piece);
    const turn = this.#log.length % HAVE_PIECES;
    for (const listener of this.#listeners) {
      if (listener === undefined) continue;
      const isOverdue = listener.toldAt + HAVE_ALONE_MS <= now;
      if (listener.phase === turn || isOverdue) this.#tell(now, listener, effects);
    }
    this.#alarm.set(now + HAVE_ALONE_MS);
  }

  /** Something goes to a neighbour now: tells it as well, when it has not heard for a while. */
  ride(now: Instant, { place }: Neighbour, effects: SwarmEffect[]): void {
    const listener = this.#listeners[place];
    if (listener === undefined || listener.told === this.#log.length) return;
    if (listener.toldAt + HAVE_MS <= now) this.#tell(now, listener, effects);
  }

  /** Tells those who have not heard for long. */
  expire(now: Instant, effects: SwarmEffect[]): void {
    for (const listener of this.#listeners) {
      if (listener === undefined || listener.told === this.#log.length) continue;
      if (listener.toldAt + HAVE_ALONE_MS <= now) this.#tell(now, listener, effects);
      else this.#alarm.set(now + HAVE_ALONE_MS);
    }
  }

  #tell(now: Instant, listener: Listener, effects: SwarmEffect[]): void {
    const pieces = this.#log.slice(listener.told);
    listener.told = this.#log.length;
    listener.toldAt = now;
    effects.push({ kind: "send", to: listener.peer, message: { kind: "have", pieces } });
  }
}
