// Runs one machine in a real process: facts in, commands out, one timer for its deadline.
// It owns no logic; a command that fails is turned into the next fact by whoever performs it.
import type { Instant, Machine } from "../core/machine.ts";

/** Longest delay a Node timer takes; a later deadline is re-armed when this one has passed. */
const TIMER_DELAY_MS_MAX = 2 ** 31 - 1;

/** The process's monotonic clock in milliseconds. */
export const monotonicNow = (): Instant => performance.now();

export interface DriverOptions<Effect> {
  readonly perform: (effect: Effect) => void;
  readonly now?: () => Instant;
}

/** Steps a machine with each fact in turn and performs what it commands, in order. */
export class Driver<Input, Effect> {
  readonly #machine: Machine<Input | { readonly kind: "wake" }, Effect>;
  readonly #perform: (effect: Effect) => void;
  readonly #now: () => Instant;
  readonly #inbox: (Input | { readonly kind: "wake" })[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** When the timer ends; it may be earlier than the deadline, as most are put off before they come. */
  #armedFor = Number.POSITIVE_INFINITY;
  #stepping = false;
  #stopped = false;

  constructor(
    machine: Machine<Input | { readonly kind: "wake" }, Effect>,
    options: DriverOptions<Effect>,
  ) {
    this.#machine = machine;
    this.#perform = options.perform;
    this.#now = options.now ?? monotonicNow;
    this.#arm();
  }

  /** Hands the machine a fact; one that arrives while effects are performed waits its turn. */
  input(fact: Input): void {
    this.#take(fact);
  }

  /** Ends the timer; later facts are ignored. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #take(fact: Input | { readonly kind: "wake" }): void {
    if (this.#stopped) return;
    this.#inbox.push(fact);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
        const effects: Effect[] = [];
        this.#machine.step(this.#now(), next, effects);
        for (const effect of effects) this.#perform(effect);
      }
    } finally {
      this.#stepping = false;
    }
    if (!this.#stopped) this.#arm();
  }

  #arm(): void {
    const due = this.#machine.deadline;
    if (due >= this.#armedFor) return;
    clearTimeout(this.#timer);
    this.#armedFor = due;
    const delayMs = Math.min(Math.max(0, Math.ceil(due - this.#now())), TIMER_DELAY_MS_MAX);
    this.#timer = setTimeout(() => this.#fire(), delayMs);
  }

  #fire(): void {
    this.#armedFor = Number.POSITIVE_INFINITY;
    if (this.#now() >= this.#machine.deadline) this.#take({ kind: "wake" });
    else this.#arm();
  }
}
