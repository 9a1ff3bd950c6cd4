// Virtual time of a fleet: calls at instants, in the order they were made, and machines woken when they
// said so. It knows nothing of what is called.
import type { Instant, Machine } from "../../core/machine.ts";
import { EventQueue } from "../event-queue.ts";

type Call = () => void;

/** Of 100,000 machines several do something in each millisecond. */
const BUCKET_MS = 0.25;
const CALL = 0;
/** Calls are taken in one order, whoever makes them. */
const ALL = 0;

export class FlowClock {
  readonly #queue = new EventQueue(BUCKET_MS);

  get now(): Instant {
    return this.#queue.at;
  }

  /** Calls at an instant; what is past is now. */
  at(instant: Instant, call: Call): void {
    this.#queue.add(instant, ALL, CALL, call, undefined);
  }

  /** Calls in so many milliseconds. */
  in(ms: number, call: Call): void {
    this.at(this.now + ms, call);
  }

  /** Makes the next call; false when there is none up to `until`. */
  step(until: Instant): boolean {
    if (!this.#queue.take(until)) return false;
    (this.#queue.subject as Call)();
    return true;
  }
}

/** Steps a machine with facts and, when it is due, with `wake`; hands its commands on. */
export class FlowDriver<Input, Effect> {
  readonly machine: Machine<Input | { readonly kind: "wake" }, Effect>;
  readonly #clock: FlowClock;
  readonly #perform: (effects: readonly Effect[]) => void;
  /** Added to what is due at once: what a process takes to come to it. */
  readonly #lagMs: number;
  #wakeAt: Instant = Number.POSITIVE_INFINITY;
  #isStopped = false;

  constructor(
    clock: FlowClock,
    machine: Machine<Input | { readonly kind: "wake" }, Effect>,
    perform: (effects: readonly Effect[]) => void,
    lagMs = 0,
  ) {
    this.#clock = clock;
    this.machine = machine;
    this.#perform = perform;
    this.#lagMs = lagMs;
  }

  /** Hands it a fact, unless it was stopped. */
  input(fact: Input | { readonly kind: "wake" }): void {
    if (this.#isStopped) return;
    const effects: Effect[] = [];
    this.machine.step(this.#clock.now, fact, effects);
    if (effects.length > 0) this.#perform(effects);
    this.#arm();
  }

  /** It takes no more facts, and is not woken again. */
  stop(): void {
    this.#isStopped = true;
  }

  #arm(): void {
    const { deadline } = this.machine;
    if (deadline === Number.POSITIVE_INFINITY) return;
    const at = Math.max(deadline, this.#clock.now + this.#lagMs);
    if (at >= this.#wakeAt) return;
    this.#wakeAt = at;
    this.#clock.at(at, () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = Number.POSITIVE_INFINITY;
      if (this.#isStopped) return;
      if (this.machine.deadline <= this.#clock.now) this.input({ kind: "wake" });
      else this.#arm();
    });
  }
}
