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
/** Numbers of an event, side by side: half a line of the cache. */
const NUMBERS = 4;
const AT = 0;
/** How many were made before it. */
const MADE = 1;
/** The one behind it in its bucket, or of those that are free. */
const NEXT = 2;
/** Its group times KINDS_MAX, and its kind. */
const SORT = 3;
const KINDS_MAX = 16;
/** So many of a group are put in order one by one; of more all are sorted. */
const FEW = 32;

export class EventQueue {
  readonly #bucketMs: number;
  readonly #heads = new Int32Array(BUCKETS).fill(-1);
  #numbers = new Float64Array(NUMBERS * ROOM_MIN);
  /** Of each event its subject and its object. */
  readonly #things: unknown[] = [];
  #free = -1;
  #used = 0;
  #madeCount = 0;
  /** Number of the bucket that is being emptied, counted from time 0. */
  #bucket = 0;
  /** Its events, the earliest last. */
  readonly #current: number[] = [];
  /** Of the bucket that is being sorted: events of each group, and then where those of the next one begin. */
  #places = new Int32Array(1);
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

  /** Makes an event; one in the past counts as now. Groups are numbers from 0 on, kinds are below 16. */
  add(at: Instant, group: number, kind: number, subject: unknown, object: unknown): void {
    const event = this.#allot();
    const first = NUMBERS * event;
    const numbers = this.#numbers;
    numbers[first + AT] = Math.max(at, this.at);
    numbers[first + MADE] = this.#madeCount++;
    numbers[first + SORT] = KINDS_MAX * group + kind;
    this.#things[2 * event] = subject;
    this.#things[2 * event + 1] = object;
    if (group >= this.#places.length) this.#places = new Int32Array(2 * group);
    this.#file(event);
  }

  /** Takes the earliest event into the fields; false when there is none up to `until`. */
  take(until: Instant): boolean {
    while (this.#current.length === 0) if (!this.#turn(until)) return false;
    const event = this.#current[this.#current.length - 1] as number;
    if (this.#atOf(event) > until) return false;
    this.#current.pop();
    const numbers = this.#numbers;
    const things = this.#things;
    this.at = this.#atOf(event);
    this.kind = (numbers[NUMBERS * event + SORT] as number) % KINDS_MAX;
    this.subject = things[2 * event];
    this.object = things[2 * event + 1];
    things[2 * event] = undefined;
    things[2 * event + 1] = undefined;
    numbers[NUMBERS * event + NEXT] = this.#free;
    this.#free = event;
    return true;
  }

  #atOf(event: number): Instant {
    return this.#numbers[NUMBERS * event + AT] as number;
  }

  #groupOf(event: number): number {
    return Math.floor((this.#numbers[NUMBERS * event + SORT] as number) / KINDS_MAX);
  }

  #nextOf(event: number): number {
    return this.#numbers[NUMBERS * event + NEXT] as number;
  }

  #file(event: number): void {
    const bucket = Math.floor(this.#atOf(event) / this.#bucketMs);
    if (bucket <= this.#bucket) this.#insert(event);
    else if (bucket - this.#bucket < BUCKETS) {
      const head = bucket % BUCKETS;
      this.#numbers[NUMBERS * event + NEXT] = this.#heads[head] as number;
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
    const head = this.#bucket % BUCKETS;
    while (this.#later.length > 0 && this.#dueLater() <= this.#bucket) {
      const event = this.#pull();
      this.#numbers[NUMBERS * event + NEXT] = this.#heads[head] as number;
      this.#heads[head] = event;
      this.#filed += 1;
    }
    this.#empty(this.#heads[head] as number);
    this.#heads[head] = -1;
    return true;
  }

  /** Makes the events of a bucket the current ones: counted by group, so that only those of one have to be compared. */
  #empty(head: number): void {
    if (head < 0) return;
    const current = this.#current;
    const places = this.#places.fill(0);
    let count = 0;
    for (let event = head; event >= 0; event = this.#nextOf(event)) {
      const group = this.#groupOf(event);
      places[group] = (places[group] as number) + 1;
      count += 1;
    }
    this.#filed -= count;
    // The last group comes first.
    let first = 0;
    for (let group = places.length - 1; group >= 0; group -= 1) {
      const its = places[group] as number;
      places[group] = first;
      first += its;
    }
    while (current.length < count) current.push(-1);
    for (let event = head; event >= 0; event = this.#nextOf(event)) {
      const group = this.#groupOf(event);
      current[places[group] as number] = event;
      places[group] = (places[group] as number) + 1;
    }
    for (let from = 0; from < count; ) {
      const end = places[this.#groupOf(current[from] as number)] as number;
      this.#sort(from, end);
      from = end;
    }
  }

  /** Puts current events of one group in order. Those of a bucket are the last made first, mostly as it should be. */
  #sort(from: number, end: number): void {
    const current = this.#current;
    if (end - from > FEW) {
      const sorted = current.slice(from, end).sort((a, b) => (this.#isEarlier(a, b) ? 1 : -1));
      for (const [at, event] of sorted.entries()) current[from + at] = event;
      return;
    }
    for (let next = from + 1; next < end; next += 1) {
      const event = current[next] as number;
      let place = next;
      while (place > from && this.#isEarlier(current[place - 1] as number, event)) {
        current[place] = current[place - 1] as number;
        place -= 1;
      }
      current[place] = event;
    }
  }

  #dueLater(): number {
    return Math.floor(this.#atOf(this.#later[0] as number) / this.#bucketMs);
  }

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
    const groups = this.#groupOf(a) - this.#groupOf(b);
    return groups === 0 ? this.#isEarlier(a, b) : groups < 0;
  }

  #isEarlier(a: number, b: number): boolean {
    const numbers = this.#numbers;
    const first = NUMBERS * a;
    const second = NUMBERS * b;
    const sooner = (numbers[first + AT] as number) - (numbers[second + AT] as number);
    if (sooner !== 0) return sooner < 0;
    return (numbers[first + MADE] as number) < (numbers[second + MADE] as number);
  }

  #allot(): number {
    if (this.#free >= 0) {
      const event = this.#free;
      this.#free = this.#nextOf(event);
      return event;
    }
    if (NUMBERS * this.#used === this.#numbers.length) this.#grow();
    return this.#used++;
  }

  #grow(): void {
    const numbers = new Float64Array(2 * this.#numbers.length);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
  }
}
