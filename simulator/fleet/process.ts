// A program of the simulated fleet: it lives, is killed, is stopped for a while and goes on. What happens to it
// happens in one life of it only; what comes while it stands still waits, in order.
import type { Instant, Machine } from "../../core/machine.ts";
import { OwnClock } from "./own-clock.ts";

/** Virtual time, and what is to happen in it. */
export interface Timeline {
  readonly now: Instant;
  at(instant: Instant, call: () => void): void;
}

/** Notes every fact that some machine takes. */
export interface Trace {
  note(who: string, what: string, now: Instant): void;
}

/** What all parts of a fleet share. */
export interface Ground {
  readonly time: Timeline;
  readonly trace: Trace;
  /** Numbers in [0, 1); the same in the same order for the same seed. */
  readonly random: () => number;
  /** Looks whether all that must hold does; called where one event does many things. */
  readonly look: () => void;
}

export class Process {
  readonly name: string;
  readonly ground: Ground;
  readonly clock: OwnClock;
  #life = 0;
  #isUp = false;
  #frozenUntil: Instant = Number.NEGATIVE_INFINITY;
  /** What came and what was due while it stood still. */
  #missed: (() => void)[] = [];
  #overdue: (() => void)[] = [];
  readonly #atEnd = new Set<() => void>();

  constructor(name: string, ground: Ground) {
    this.name = name;
    this.ground = ground;
    this.clock = new OwnClock(ground.time);
  }

  /** By its own clock. */
  get now(): Instant {
    return this.clock.now;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Rises with each start and each end. */
  get life(): number {
    return this.#life;
  }

  /** It stands still: it neither does nor hears anything. */
  get isFrozen(): boolean {
    return this.ground.time.now < this.#frozenUntil;
  }

  begin(): void {
    this.#life += 1;
    this.#isUp = true;
  }

  /** kill -9: what it had begun is lost. */
  end(): void {
    this.#life += 1;
    this.#isUp = false;
    this.#missed = [];
    this.#overdue = [];
    this.#frozenUntil = Number.NEGATIVE_INFINITY;
    for (const call of [...this.#atEnd]) call();
    this.#atEnd.clear();
  }

  /** Calls back when this life ends; returns how to call that off. */
  onEnd(call: () => void): () => void {
    this.#atEnd.add(call);
    return () => this.#atEnd.delete(call);
  }

  /** Stands still for so long; what comes meanwhile is done afterwards. */
  freeze(ms: number): void {
    if (!this.#isUp) return;
    this.#frozenUntil = Math.max(this.#frozenUntil, this.ground.time.now + ms);
    const life = this.#life;
    this.ground.time.at(this.#frozenUntil, () => {
      if (life === this.#life) this.#thaw();
    });
  }

  /** Does something in this life, so many milliseconds from now by its own clock. */
  after(ms: number, call: () => void): void {
    const life = this.#life;
    const at = this.clock.trueAt(this.now + ms);
    this.ground.time.at(at, () => this.deliver(life, call, true));
  }

  /** Does something now, or when it goes on; never in another life. */
  deliver(life: number, call: () => void, isTimer = false): void {
    if (life !== this.#life || !this.#isUp) return;
    if (!this.isFrozen) call();
    else if (isTimer) this.#overdue.push(call);
    else this.#missed.push(call);
  }

  /** What came may be heard before it is noticed how late it is, or after that. */
  #thaw(): void {
    const life = this.#life;
    const queues = [this.#overdue, this.#missed];
    if (this.ground.random() < 0.5) queues.reverse();
    for (const queue of queues) {
      while (queue.length > 0 && !this.isFrozen && life === this.#life) {
        this.ground.look();
        queue.shift()?.();
      }
    }
  }
}

/** Runs one machine in a process, as runtime/driver.ts does in a real one. */
export class Stepper<Input extends { readonly kind: string }, Effect> {
  readonly #process: Process;
  readonly #name: string;
  readonly #machine: Machine<Input | { readonly kind: "wake" }, Effect>;
  readonly #perform: (effect: Effect) => void;
  readonly #life: number;
  readonly #inbox: (Input | { readonly kind: "wake" })[] = [];
  #armedFor: Instant = Number.POSITIVE_INFINITY;
  #isStepping = false;
  #isStopped = false;

  constructor(
    process: Process,
    name: string,
    machine: Machine<Input | { readonly kind: "wake" }, Effect>,
    perform: (effect: Effect) => void,
  ) {
    this.#process = process;
    this.#name = `${process.name}/${name}`;
    this.#machine = machine;
    this.#perform = perform;
    this.#life = process.life;
    this.#arm();
  }

  input(fact: Input): void {
    this.#take(fact);
  }

  stop(): void {
    this.#isStopped = true;
  }

  #take(fact: Input | { readonly kind: "wake" }): void {
    const { ground } = this.#process;
    if (this.#isStopped || this.#life !== this.#process.life) return;
    this.#inbox.push(fact);
    if (this.#isStepping) return;
    this.#isStepping = true;
    for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
      ground.trace.note(this.#name, next.kind, ground.time.now);
      const effects: Effect[] = [];
      this.#machine.step(this.#process.now, next, effects);
      for (const effect of effects) this.#perform(effect);
    }
    this.#isStepping = false;
    this.#arm();
  }

  #arm(): void {
    const { time } = this.#process.ground;
    const due = this.#machine.deadline;
    if (this.#isStopped || due >= this.#armedFor) return;
    this.#armedFor = due;
    time.at(this.#process.clock.trueAt(due), () => {
      if (this.#armedFor !== due) return;
      const wake = (): void => {
        this.#armedFor = Number.POSITIVE_INFINITY;
        if (this.#machine.deadline <= this.#process.now) this.#take({ kind: "wake" });
        else this.#arm();
      };
      this.#process.deliver(this.#life, wake, true);
    });
  }
}

/** A program that can be started again once its process has ended. */
export interface Revivable {
  readonly process: Process;
  start(): void;
}

/** Starts those again that are down. */
export function revive(all: readonly Revivable[]): void {
  for (const one of all) if (!one.process.isUp) one.start();
}
