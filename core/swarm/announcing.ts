// Tells neighbours of pieces that became whole. A message costs more than the numbers in it, so each
// neighbour hears of several together; but their turns are spread, so that whatever is new is told to
// somebody at once.
import type { Instant } from "../machine.ts";
import type { Alarm } from "./alarm.ts";
import type { SwarmEffect } from "./facts.ts";
import { HAVE_MS, HAVE_PIECES } from "./limits.ts";
import type { PeerId } from "./message.ts";

export class Announcing {
  readonly #alarm: Alarm;
  /** Pieces in the order in which they became whole. */
  readonly #log: number[] = [];
  readonly #peers: PeerId[] = [];
  /** Of each of the peers: how much of the log it was told of, and when. */
  readonly #told: number[] = [];
  readonly #toldAt: Instant[] = [];
  /** It is its turn when the log is so much longer than a multiple of HAVE_PIECES. */
  readonly #phases: number[] = [];
  #joined = 0;

  constructor(alarm: Alarm) {
    this.#alarm = alarm;
  }

  /** A neighbour hears of what becomes whole from now on. */
  add(peer: PeerId): void {
    this.#peers.push(peer);
    this.#told.push(this.#log.length);
    this.#toldAt.push(Number.NEGATIVE_INFINITY);
    this.#phases.push(this.#joined++ % HAVE_PIECES);
  }

  remove(peer: PeerId): void {
    const at = this.#peers.indexOf(peer);
    if (at < 0) return;
    for (const column of [this.#peers, this.#told, this.#toldAt, this.#phases]) {
      column.splice(at, 1);
    }
  }

  /** A piece became whole: tells those whose turn it is, or who have not heard for a while. */
  complete(now: Instant, piece: number, effects: SwarmEffect[]): void {
    this.#log.push(piece);
    const turn = this.#log.length % HAVE_PIECES;
    for (let at = 0; at < this.#peers.length; at += 1) {
      const isOverdue = (this.#toldAt[at] as number) + HAVE_MS <= now;
      if (this.#phases[at] === turn || isOverdue) this.#tell(now, at, effects);
    }
    this.#alarm.set(now + HAVE_MS);
  }

  /** Tells those who have not heard for a while. */
  expire(now: Instant, effects: SwarmEffect[]): void {
    for (let at = 0; at < this.#peers.length; at += 1) {
      if (this.#told[at] === this.#log.length) continue;
      if ((this.#toldAt[at] as number) + HAVE_MS <= now) this.#tell(now, at, effects);
      else this.#alarm.set(now + HAVE_MS);
    }
  }

  #tell(now: Instant, at: number, effects: SwarmEffect[]): void {
    const pieces = this.#log.slice(this.#told[at]);
    this.#told[at] = this.#log.length;
    this.#toldAt[at] = now;
    const to = this.#peers[at] as PeerId;
    effects.push({ kind: "send", to, message: { kind: "have", pieces } });
  }
}
