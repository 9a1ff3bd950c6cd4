// One direction of a process's way to the network, which the swarms of the process share: how fast blocks may
// pass, and who goes first. An urgent swarm fills it as if it were alone; the others divide what it
// leaves, and get an eighth of its bytes in any case. Swarms that are alike are left to TCP, and take turns
// at a limit. It knows no clock.
import type { Instant } from "../machine.ts";
import { BLOCK_BYTES_MAX, LEFT_ONE_IN } from "./limits.ts";
import { RateLimit } from "./rate-limit.ts";
import { take } from "./short-list.ts";

/** Both ways of a process. */
export interface Share {
  readonly up: Lane;
  readonly down: Lane;
}

interface Shared {
  readonly limit: RateLimit | undefined;
  /** In the order in which they have what is left in any case. */
  readonly places: LanePlace[];
  /** Bytes that the less urgent may have although an urgent one would take them; negative: they had more. */
  leftBytes: number;
  /** There are some, and were none a moment ago. */
  isLeft: boolean;
}

export class Lane {
  readonly #shared: Shared;

  /** `rate`: bytes a millisecond at most; left out: no limit. */
  constructor(rate?: number) {
    const limit = rate === undefined ? undefined : new RateLimit(rate);
    this.#shared = { limit, places: [], leftBytes: 0, isLeft: false };
  }

  /** A swarm's place in it. */
  enter(isUrgent: boolean): LanePlace {
    return new LanePlace(this.#shared, isUrgent);
  }
}

/** What one swarm sees of a lane. */
export class LanePlace {
  readonly #lane: Shared;
  readonly #limit: RateLimit | undefined;
  #isUrgent: boolean;
  /** Bytes under way as it last said; Infinity: it waits for the limit. */
  #bytes = 0;
  #waits = false;
  /** Nobody else is in the lane: looked at with every step. */
  #isAlone = false;
  /** The bound of which it would fill more than it may; undefined: it has what it wants. */
  #wanted: number | undefined;

  constructor(lane: Shared, isUrgent: boolean) {
    this.#lane = lane;
    this.#limit = lane.limit;
    this.#isUrgent = isUrgent;
    lane.places.push(this);
    LanePlace.noteWhoIsAlone(lane.places);
  }

  /** Tells places whether there is another. */
  static noteWhoIsAlone(places: readonly LanePlace[]): void {
    for (const one of places) one.#isAlone = places.length === 1;
  }

  /** From now on it goes before the others, or is one of them. */
  urge(isUrgent: boolean): void {
    if (isUrgent === this.#isUrgent) return;
    this.#isUrgent = isUrgent;
    this.#wanted = undefined;
    // Whoever waited for it may go on: the others are told with the next note.
    this.#lane.isLeft = true;
  }

  /** Bytes a millisecond; Infinity: no limit. */
  get rate(): number {
    return this.#limit?.rate ?? Number.POSITIVE_INFINITY;
  }

  /** A limit or another swarm has a say in what may pass, whatever happens to this one. */
  get isShared(): boolean {
    return !this.#isAlone || this.#limit !== undefined;
  }

  /** Another swarm is urgent and it is not. */
  get yields(): boolean {
    return !this.#isAlone && !this.#isUrgent && this.#lane.places.some((one) => one.#isUrgent);
  }

  /** Of the bytes that it might have under way, were it alone, those that it may. */
  boundOf(bytes: number): number {
    if (!this.yields) return bytes;
    let left = bytes;
    let others = 1;
    for (const one of this.#lane.places) {
      if (one.#isUrgent) left -= one.#bytes;
      else if (one !== this && (one.#wanted !== undefined || one.#bytes > 0)) others += 1;
    }
    return Math.max(0, left / others, this.#isNext ? this.#bytes + 1 : 0);
  }

  /** It would fill more of that bound; undefined: it would not. */
  want(bytes: number | undefined): void {
    this.#wanted = this.yields ? bytes : undefined;
  }

  /** When to try again, as the limit says; undefined: a block may pass now. */
  waitsUntil(now: Instant): Instant | undefined {
    const waitsUntil = this.#limit?.waitsUntil(now, this);
    this.#waits = waitsUntil !== undefined;
    return waitsUntil;
  }

  /** Nothing of it waits for the limit. */
  rest(): void {
    if (this.#waits) this.#limit?.leave(this);
    this.#waits = false;
  }

  /** A block passes. */
  pass(now: Instant, bytes: number): void {
    const lane = this.#lane;
    this.#limit?.take(now, bytes, this);
    if (lane.places.length === 1) return;
    const { leftBytes } = lane;
    const change = this.#isUrgent ? bytes / LEFT_ONE_IN : -bytes;
    lane.leftBytes = Math.max(-BLOCK_BYTES_MAX, Math.min(BLOCK_BYTES_MAX, leftBytes + change));
    if (leftBytes <= 0 && lane.leftBytes > 0) lane.isLeft = true;
    if (this.#isUrgent) return;
    take(lane.places, this);
    lane.places.push(this);
  }

  /** Says how many bytes it has under way now; true when another swarm may have more than before, and wants it. */
  note(bytes: number): boolean {
    if (this.#isAlone) return false;
    const lane = this.#lane;
    const before = this.#bytes;
    this.#bytes = this.#waits ? Number.POSITIVE_INFINITY : bytes;
    if (this.#bytes >= before && !lane.isLeft) return false;
    lane.isLeft = false;
    return lane.places.some((one) => one !== this && one.#hasRoom);
  }

  /** The swarm is left. */
  leave(): void {
    take(this.#lane.places, this);
    LanePlace.noteWhoIsAlone(this.#lane.places);
  }

  get #hasRoom(): boolean {
    return this.#wanted !== undefined && this.#bytes < this.boundOf(this.#wanted);
  }

  /** Something is left in any case, and it is first of those that want it. */
  get #isNext(): boolean {
    const { leftBytes, places } = this.#lane;
    if (leftBytes <= 0) return false;
    for (const one of places) if (one === this || one.#wanted !== undefined) return one === this;
    return false;
  }
}
