// Events in virtual time: the earliest first, those of one instant in the order they were made.
interface Event {
  readonly at: number;
  readonly made: number;
  readonly run: () => void;
}

export class VirtualTime {
  now = 0;
  #made = 0;
  /** A binary heap. */
  readonly #events: Event[] = [];

  in(delayMs: number, run: () => void): void {
    const events = this.#events;
    const event = { at: this.now + delayMs, made: this.#made++, run };
    let index = events.push(event) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      if (!isBefore(event, events[above] as Event)) break;
      events[index] = events[above] as Event;
      index = above;
    }
    events[index] = event;
  }

  /** Runs events until `isDone` or the end of time; false: time ran out. */
  run(untilMs: number, isDone: () => boolean, after: () => void): boolean {
    while (!isDone()) {
      if (!this.step(untilMs)) return false;
      after();
    }
    return true;
  }

  /** Runs the next event; false where there is none up to `untilMs`. */
  step(untilMs = Number.POSITIVE_INFINITY): boolean {
    if ((this.#events[0]?.at ?? Number.POSITIVE_INFINITY) > untilMs) return false;
    const next = this.#next();
    if (next === undefined) return false;
    this.now = next.at;
    next.run();
    return true;
  }

  #next(): Event | undefined {
    const events = this.#events;
    const first = events[0];
    const last = events.pop();
    if (first === undefined || last === undefined || events.length === 0) return first;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= events.length) break;
      const right = events[below + 1];
      if (right !== undefined && isBefore(right, events[below] as Event)) below += 1;
      if (!isBefore(events[below] as Event, last)) break;
      events[index] = events[below] as Event;
      index = below;
    }
    events[index] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.made < b.made);
}
