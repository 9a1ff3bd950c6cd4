// Events in virtual time, the earliest first and those of one instant in the order they were made. A
// calendar of buckets in typed arrays: making and taking one costs the same however many there are, as
// long as buckets hold a few. What an event means is its owner's business.
//
// Events of one bucket are taken group by group, each in order of time, so that what a group needs is fetched
// from memory once for all of them. Whoever uses groups has to see to it that what one does matters to others
// in a later bucket only; with all in one group the order is that of time.
import type { Instant } from "../core/machine.ts";

/** Buckets of the calendar, so many times `bucketMs` ahead; what is later waits in a heap. */
const BUCKETS = 1 << 16;
/** Events that there is room for at first. */
const ROOM_MIN = 1 << 12;

export class EventQueue {
  readonly #bucketMs: number;
  readonly #heads = new Int32Array(BUCKETS).fill(-1);
  #at = new Float64Array(ROOM_MIN);
  #made = new Float64Array(ROOM_MIN);
  #group = new Int32Array(ROOM_MIN);
  #next = new Int32Array(ROOM_MIN);
  #kind = new Uint8Array(ROOM_MIN);
  readonly #subject: unknown[] = [];
  readonly #object: unknown[] = [];
  #free = -1;
  #used = 0;
  #madeCount = 0;
  /** Number of the bucket that is being emptied, counted from time 0. */
  #bucket = 0;
  /** Its events, the earliest last. */
  readonly #current: number[] = [];
  /** Events in the calendar, without the current ones. */
  #filed = 0;
  /** A binary heap of events beyond the calendar. */
  readonly #later: number[] = [];

  /** The event taken last. */
  at: Instant = 0;
  kind = 0;
  subject: unknown;
  object: unknown;

  /** `bucketMs`: about as long as a few events take. */
  constructor(bucketMs: number) {
    this.#bucketMs = bucketMs;
  }

  /** The first instant from there on with which a bucket begins that nothing was taken of. */
  bucketFrom(instant: Instant): Instant {
    return Math.max(this.#bucket + 1, Math.ceil(instant / this.#bucketMs)) * this.#bucketMs;
  }

  /** Makes an event; one in the past counts as now. */
  add(at: Instant, group: number, kind: number, subject: unknown, object: unknown): void {
    const event = this.#allot();
    this.#group[event] = group;
    this.#at[event] = Math.max(at, this.at);
    this.#made[event] = this.#madeCount++;
    this.#kind[event] = kind;
    this.#subject[event] = subject;
    this.#object[event] = object;
    this.#file(event);
  }

  /** Takes the earliest event into the fields; false when there is none up to `until`. */
  take(until: Instant): boolean {
    while (this.#current.length === 0) if (!this.#turn(until)) return false;
    const event = this.#current[this.#current.length - 1] as number;
    if ((this.#at[event] as number) > until) return false;
    this.#current.pop();
    this.at = this.#at[event] as number;
    this.kind = this.#kind[event] as number;
    this.subject = this.#subject[event];
    this.object = this.#object[event];
    this.#subject[event] = undefined;
    this.#object[event] = undefined;
    this.#next[event] = this.#free;
    this.#free = event;
    return true;
  }

  #file(event: number): void {
    const bucket = Math.floor((this.#at[event] as number) / this.#bucketMs);
    if (bucket <= this.#bucket) this.#insert(event);
    else if (bucket - this.#bucket < BUCKETS) {
      const head = bucket % BUCKETS;
      this.#next[event] = this.#heads[head] as number;
      this.#heads[head] = event;
      this.#filed += 1;
    } else this.#push(event);
  }

  /** Goes to the next bucket that holds something; false when all is later than `until`. */
  #turn(until: Instant): boolean {
    const last = this.#later.length === 0 ? Number.POSITIVE_INFINITY : this.#dueLater();
    if (this.#filed === 0 && last === Number.POSITIVE_INFINITY) return false;
    if (this.#filed === 0) this.#bucket = last;
    else this.#bucket += 1;
    if (this.#bucket * this.#bucketMs > until) {
      this.#bucket -= 1;
      return false;
    }
    const current = this.#current;
    while (this.#later.length > 0 && this.#dueLater() <= this.#bucket) current.push(this.#pull());
    const head = this.#bucket % BUCKETS;
    for (let event = this.#heads[head] as number; event >= 0; event = this.#next[event] as number) {
      current.push(event);
      this.#filed -= 1;
    }
    this.#heads[head] = -1;
    current.sort(this.#latestFirst);
    return true;
  }

  #dueLater(): number {
    return Math.floor((this.#at[this.#later[0] as number] as number) / this.#bucketMs);
  }

  readonly #latestFirst = (a: number, b: number): number => (this.#isBefore(a, b) ? 1 : -1);

  /** Puts an event into its place among the current ones. */
  #insert(event: number): void {
    const current = this.#current;
    let place = current.push(event) - 1;
    while (place > 0 && this.#isBefore(current[place - 1] as number, event)) {
      current[place] = current[place - 1] as number;
      place -= 1;
    }
    current[place] = event;
  }

  #push(event: number): void {
    const heap = this.#later;
    let place = heap.push(event) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (!this.#isEarlier(event, heap[above] as number)) break;
      heap[place] = heap[above] as number;
      place = above;
    }
    heap[place] = event;
  }

  #pull(): number {
    const heap = this.#later;
    const first = heap[0] as number;
    const last = heap.pop() as number;
    if (heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      const right = below + 1;
      if (right < heap.length && this.#isEarlier(heap[right] as number, heap[below] as number)) {
        below = right;
      }
      if (!this.#isEarlier(heap[below] as number, last)) break;
      heap[place] = heap[below] as number;
      place = below;
    }
    heap[place] = last;
    return first;
  }

  /** Of two of a bucket. */
  #isBefore(a: number, b: number): boolean {
    const groups = (this.#group[a] as number) - (this.#group[b] as number);
    return groups === 0 ? this.#isEarlier(a, b) : groups < 0;
  }

  #isEarlier(a: number, b: number): boolean {
    const first = this.#at[a] as number;
    const second = this.#at[b] as number;
    return (
      first < second || (first === second && (this.#made[a] as number) < (this.#made[b] as number))
    );
  }

  #allot(): number {
    if (this.#free >= 0) {
      const event = this.#free;
      this.#free = this.#next[event] as number;
      return event;
    }
    if (this.#used === this.#at.length) this.#grow();
    return this.#used++;
  }

  #grow(): void {
    const room = 2 * this.#at.length;
    const [at, made, next, kind] = [this.#at, this.#made, this.#next, this.#kind];
    const group = this.#group;
    this.#group = new Int32Array(room);
    this.#group.set(group);
    this.#at = new Float64Array(room);
    this.#at.set(at);
    this.#made = new Float64Array(room);
    this.#made.set(made);
    this.#next = new Int32Array(room);
    this.#next.set(next);
    this.#kind = new Uint8Array(room);
    this.#kind.set(kind);
  }
}
