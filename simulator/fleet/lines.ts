// Connections between programs, as TCP gives them: in order, both ways, until one end goes or the network cuts them
// off for too long. Loss costs a repeat, which is time. What came once may come again where a fault says so.
import type { Instant } from "../../core/machine.ts";
import type { Ground, Process } from "./process.ts";

/** A connection over which nothing gets through for so long is taken for dead by both its ends. */
const DEAD_MS = 15_000;
/** A try to connect that gets no answer is given up after so long. */
const DIAL_MS = 3_000;
/** A lost packet is sent again after so long, and after twice that when it is lost again. */
const REPEAT_MS = 200;
/** Tries of one packet; the connection breaks with it where all are lost. */
const TRIES_MAX = 6;
/** What comes again is late by up to so long. */
const REPEATED_LATE_MS = 2_000;

/** How the network is for all at this moment. */
export interface Weather {
  /** Mean of what is added to each way's time, exponentially distributed. */
  delayMs: number;
  /** Share of the packets that are lost. */
  lossShare: number;
  /** Share of the commands that come a second time. */
  repeatShare: number;
}

export const FAIR: Weather = { delayMs: 1, lossShare: 0, repeatShare: 0 };

/** One end of a connection. */
export interface End<Heard, Said> {
  readonly peer: string;
  readonly isOpen: boolean;
  /** Says something; lost where the connection is gone. `isRepeatable`: it may come twice. */
  send(message: Said, isRepeatable?: boolean): void;
  /** Ends the connection; the other end hears of it, this one does not. */
  close(): void;
  /** The connection breaks, and both ends hear of it. */
  break(): void;
  onMessage: (message: Heard) => void;
  /** The connection is gone. */
  onGone: () => void;
}

/** Somebody who takes connections; `accept` is called with each new one. */
export interface Listener<Heard, Said> {
  readonly process: Process;
  readonly accept: (end: End<Heard, Said>) => void;
}

export class Network {
  readonly weather: Weather = { ...FAIR };
  readonly #ground: Ground;
  /** Until when nothing gets from one program to another. */
  readonly #cuts = new Map<string, Instant>();
  /** Bytes a second that a program's connections carry; absent: as they come. */
  readonly #slow = new Map<string, number>();
  #openCount = 0;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  /** Connections that are open. */
  get openCount(): number {
    return this.#openCount;
  }

  /** Nothing gets from `from` to `to` before that. */
  cut(from: string, to: string, until: Instant): void {
    const way = `${from}>${to}`;
    this.#cuts.set(way, Math.max(this.#cuts.get(way) ?? 0, until));
  }

  /** Each message to or from a program takes so much longer; 0: no more. */
  slow(name: string, ms: number): void {
    if (ms === 0) this.#slow.delete(name);
    else this.#slow.set(name, ms);
  }

  /** All is well from now on. */
  heal(): void {
    this.#cuts.clear();
    this.#slow.clear();
    Object.assign(this.weather, FAIR);
  }

  blockedUntil(from: string, to: string): Instant {
    return this.#cuts.get(`${from}>${to}`) ?? 0;
  }

  /** Connects; `done` gets the end, or undefined where nobody is there. */
  dial<Up, Down>(
    from: Process,
    to: Listener<Up, Down>,
    done: (end: End<Down, Up> | undefined) => void,
  ): void {
    const { time } = this.#ground;
    const { life } = from;
    const { now } = time;
    const away = Math.max(
      this.blockedUntil(from.name, to.process.name),
      this.blockedUntil(to.process.name, from.name),
    );
    const fail = (ms: number): void =>
      time.at(now + ms, () => from.deliver(life, () => done(undefined)));
    if (away > now + DIAL_MS) {
      fail(DIAL_MS);
      return;
    }
    time.at(Math.max(now, away) + this.#wayMs(from.name, to.process.name), () => {
      if (!to.process.isUp || life !== from.life) {
        fail(time.now - now + 1);
        return;
      }
      const [near, far] = this.#connect<Down, Up>(from, to.process);
      to.process.deliver(to.process.life, () => to.accept(far));
      time.at(time.now + this.#wayMs(to.process.name, from.name), () =>
        from.deliver(life, () => done(near)),
      );
    });
  }

  #connect<A, B>(a: Process, b: Process): [End<A, B>, End<B, A>] {
    const line: Line = { isOpen: true };
    this.#openCount += 1;
    const near = new LineEnd<A, B>(line, a, b, this);
    const far = new LineEnd<B, A>(line, b, a, this);
    near.other = far;
    far.other = near;
    // A program that is killed leaves its connections to the kernel, which ends them.
    const offs = [a.onEnd(() => near.close()), b.onEnd(() => far.close())];
    line.closed = () => {
      this.#openCount -= 1;
      for (const off of offs) off();
    };
    return [near, far];
  }

  /** When something that leaves now arrives, and undefined when it never does. */
  arrival(from: string, to: string): Instant | undefined {
    const { now } = this.#ground.time;
    const free = this.blockedUntil(from, to);
    if (free > now + DEAD_MS) return undefined;
    let lostMs = 0;
    const { random } = this.#ground;
    for (let tries = 0; random() < this.weather.lossShare; tries += 1) {
      if (tries === TRIES_MAX) return undefined;
      lostMs += REPEAT_MS * 2 ** tries;
    }
    return Math.max(now, free) + lostMs + this.#wayMs(from, to);
  }

  /** After so long both ends know that nothing gets through. */
  get deadMs(): number {
    return DEAD_MS;
  }

  /** When something comes a second time; undefined: it does not. */
  repeat(): number | undefined {
    const { random } = this.#ground;
    if (random() >= this.weather.repeatShare) return undefined;
    return random() * REPEATED_LATE_MS;
  }

  get time() {
    return this.#ground.time;
  }

  #wayMs(from: string, to: string): number {
    const { random } = this.#ground;
    const slowMs = (this.#slow.get(from) ?? 0) + (this.#slow.get(to) ?? 0);
    return 0.5 - Math.log(1 - random()) * this.weather.delayMs + slowMs;
  }
}

interface Line {
  isOpen: boolean;
  closed?: () => void;
}

class LineEnd<Heard, Said> implements End<Heard, Said> {
  readonly #line: Line;
  readonly #own: Process;
  readonly #target: Process;
  readonly #life: number;
  readonly #network: Network;
  other: LineEnd<Said, Heard> | undefined;
  #lastArrival: Instant = 0;
  onMessage: (message: Heard) => void = () => {};
  onGone: () => void = () => {};

  constructor(line: Line, own: Process, target: Process, network: Network) {
    this.#line = line;
    this.#own = own;
    this.#target = target;
    this.#life = own.life;
    this.#network = network;
  }

  get peer(): string {
    return this.#target.name;
  }

  get isOpen(): boolean {
    return this.#line.isOpen;
  }

  send(message: Said, isRepeatable = false): void {
    if (!this.#line.isOpen) return;
    const { time } = this.#network;
    const at = this.#network.arrival(this.#own.name, this.#target.name);
    if (at === undefined) {
      time.at(time.now + this.#network.deadMs, () => this.break());
      // What is behind it waits for it for ever.
      this.#lastArrival = Number.POSITIVE_INFINITY;
      return;
    }
    if (this.#lastArrival === Number.POSITIVE_INFINITY) return;
    this.#lastArrival = Math.max(this.#lastArrival, at);
    const take = (): void => this.other?.hear(message);
    time.at(this.#lastArrival, take);
    const again = isRepeatable ? this.#network.repeat() : undefined;
    if (again !== undefined) time.at(this.#lastArrival + again, take);
  }

  close(): void {
    if (!this.#line.isOpen) return;
    this.onGone = () => {};
    this.break();
  }

  hear(message: Heard): void {
    if (!this.#line.isOpen) return;
    this.#own.deliver(this.#life, () => {
      if (this.#line.isOpen) this.onMessage(message);
    });
  }

  break(): void {
    if (!this.#line.isOpen) return;
    this.#line.isOpen = false;
    this.#line.closed?.();
    this.gone(0.5);
    this.other?.gone(this.#farMs());
  }

  /** The end that is far away hears of it when something gets through, or finds out by itself. */
  #farMs(): number {
    const { time } = this.#network;
    const free = this.#network.blockedUntil(this.#own.name, this.#target.name) - time.now;
    return Math.min(Math.max(0, free), this.#network.deadMs) + 1;
  }

  gone(ms: number): void {
    const { time } = this.#network;
    time.at(time.now + ms, () => this.#own.deliver(this.#life, () => this.onGone()));
  }
}
