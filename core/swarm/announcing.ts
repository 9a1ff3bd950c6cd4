// Tells neighbours of pieces that became whole. A message of its own costs a packet, a write here and a
// read there, far more than the numbers in it: so what is new waits a while for something else that goes
// to the same neighbour, and goes on its own when nothing does, or much is new. The neighbours' turns are
// spread, so that whatever is new is told to somebody at once. All of them are looked at for each piece, so
// what is known of them lies in rows of numbers, by the neighbour's place.
import type { Instant } from "../machine.ts";
import { PIECES_TARGET } from "../release/limits.ts";
import type { Alarm } from "./alarm.ts";
import type { SwarmEffect } from "./facts.ts";
import { HAVE_ALONE_MS, HAVE_MS, HAVE_PIECES } from "./limits.ts";
import type { PeerId } from "./message.ts";
import type { Neighbour } from "./neighbour.ts";

export class Announcing {
  readonly #alarm: Alarm;
  /** Pieces in the order in which they became whole, and how many: some more than once, where they were lost. */
  #log = new Uint16Array(PIECES_TARGET);
  #logged = 0;
  /** Undefined where nobody is told. */
  readonly #peers: (PeerId | undefined)[] = [];
  /** How much of the log it was told of, and when; Infinity where nobody is told. */
  readonly #told: Uint32Array;
  readonly #toldAt: Float64Array;
  /** It is its turn when the log is so much longer than a multiple of HAVE_PIECES. */
  readonly #phase: Uint8Array;
  #joined = 0;

  constructor(alarm: Alarm, neighboursMax: number) {
    this.#alarm = alarm;
    this.#told = new Uint32Array(neighboursMax);
    this.#toldAt = new Float64Array(neighboursMax).fill(Number.POSITIVE_INFINITY);
    this.#phase = new Uint8Array(neighboursMax);
  }

  /** A neighbour hears of what becomes whole from now on. */
  add({ place, peer }: Neighbour): void {
    this.#peers[place] = peer;
    this.#told[place] = this.#logged;
    this.#toldAt[place] = Number.NEGATIVE_INFINITY;
    this.#phase[place] = this.#joined++ % HAVE_PIECES;
  }

  remove({ place }: Neighbour): void {
    this.#peers[place] = undefined;
    this.#toldAt[place] = Number.POSITIVE_INFINITY;
  }

  /** A piece became whole: tells those whose turn it is, or who have not heard for long. */
  complete(now: Instant, piece: number, effects: SwarmEffect[]): void {
    this.#note(piece);
    const turn = this.#logged % HAVE_PIECES;
    const phase = this.#phase;
    const toldAt = this.#toldAt;
    for (let place = 0; place < this.#peers.length; place += 1) {
      const isOverdue = (toldAt[place] as number) + HAVE_ALONE_MS <= now;
      if (phase[place] === turn || isOverdue) this.#tell(now, place, effects);
    }
    this.#alarm.set(now + HAVE_ALONE_MS);
  }

  /** Something goes to a neighbour now: tells it as well, when it has not heard for a while. */
  ride(now: Instant, { place }: Neighbour, effects: SwarmEffect[]): void {
    if ((this.#toldAt[place] as number) + HAVE_MS > now) return;
    if (this.#told[place] !== this.#logged) this.#tell(now, place, effects);
  }

  /** Tells those who have not heard for long. */
  expire(now: Instant, effects: SwarmEffect[]): void {
    for (const [place, peer] of this.#peers.entries()) {
      if (peer === undefined || this.#told[place] === this.#logged) continue;
      if ((this.#toldAt[place] as number) + HAVE_ALONE_MS <= now) this.#tell(now, place, effects);
      else this.#alarm.set(now + HAVE_ALONE_MS);
    }
  }

  #tell(now: Instant, place: number, effects: SwarmEffect[]): void {
    const to = this.#peers[place];
    if (to === undefined) return;
    const pieces: number[] = [];
    for (let at = this.#told[place] as number; at < this.#logged; at += 1) {
      pieces.push(this.#log[at] as number);
    }
    this.#told[place] = this.#logged;
    this.#toldAt[place] = now;
    effects.push({ kind: "send", to, message: { kind: "have", pieces } });
  }

  #note(piece: number): void {
    if (this.#logged === this.#log.length) {
      const grown = new Uint16Array(2 * this.#logged);
      grown.set(this.#log);
      this.#log = grown;
    }
    this.#log[this.#logged] = piece;
    this.#logged += 1;
  }
}
