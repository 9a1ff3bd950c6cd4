// One control plane of the simulated cluster: it campaigns with the real machine, and leads for a term where it is
// elected. Relays that come to one that does not lead are sent to who does.
import type { BlobModel } from "./blobs.ts";
import { Candidate } from "./candidate.ts";
import { LedTerm } from "./led-term.ts";
import type { Listener } from "./lines.ts";
import type { LeaderSays, RelaySays } from "./messages.ts";
import { type Ground, Process } from "./process.ts";
import { FAIR_WEATHER, StoreClient, type StoreWeather } from "./store-client.ts";
import type { StoreModel } from "./store-model.ts";
import type { FailPoint, LineToRelay } from "./term-host.ts";

/** A relay is held so long by one that does not know who leads. */
const HELD_MS_MAX = 5_000;

export interface ControlPlaneOptions {
  readonly ground: Ground;
  readonly name: string;
  readonly store: StoreModel;
  readonly origin: BlobModel;
  readonly wallMs: () => number;
  readonly storeWeather?: StoreWeather;
  /** A term of this replica begins or ends. */
  readonly onReached: (replica: ControlPlane, point: FailPoint) => void;
  readonly onTerm: (replica: string, epoch: number, isBegun: boolean) => void;
}

export class ControlPlane {
  readonly process: Process;
  readonly store: StoreClient;
  readonly relays: Listener<RelaySays, LeaderSays>;
  readonly #options: ControlPlaneOptions;
  readonly #candidate: Candidate;
  #term: LedTerm | undefined;

  constructor(options: ControlPlaneOptions) {
    const { ground, name, store, storeWeather = FAIR_WEATHER } = options;
    this.#options = options;
    this.process = new Process(name, ground);
    this.store = new StoreClient(this.process, store, storeWeather);
    this.#candidate = new Candidate({
      process: this.process,
      store: this.store,
      onLead: (epoch, revision) => this.#lead(epoch, revision),
      onStepDown: () => this.#endTerm(),
    });
    this.relays = { process: this.process, accept: (line) => this.#accept(line) };
  }

  get name(): string {
    return this.process.name;
  }

  /** The term in which it leads; undefined: it does not. */
  get term(): LedTerm | undefined {
    return this.#term;
  }

  /** Whether it takes itself for the leader at this moment. */
  get believes(): boolean {
    const { process } = this;
    return process.isUp && !process.isFrozen && this.#candidate.leads;
  }

  start(): void {
    this.process.begin();
    this.#term = undefined;
    this.#candidate.start();
  }

  /** kill -9. */
  kill(): void {
    if (!this.process.isUp) return;
    this.#endTerm();
    this.process.end();
  }

  /** Hands over, if it leads. */
  resign(): void {
    if (this.process.isUp) this.#candidate.resign();
  }

  #endTerm(): void {
    const term = this.#term;
    this.#term = undefined;
    if (term === undefined) return;
    term.stop();
    this.#options.onTerm(this.name, term.epoch, false);
  }

  #lead(epoch: number, revision: number): void {
    this.#endTerm();
    this.#options.onTerm(this.name, epoch, true);
    this.#term = new LedTerm({
      process: this.process,
      store: this.store,
      epoch,
      revision,
      holds: () => this.#candidate.leads,
      origin: this.#options.origin,
      wallMs: this.#options.wallMs,
      onReached: (point) => this.#options.onReached(this, point),
      onLost: () => this.#candidate.fenced(epoch),
    });
  }

  #accept(line: LineToRelay): void {
    let isGreeted = false;
    const heldUntil = this.process.now + HELD_MS_MAX;
    line.onMessage = (message) => {
      if (message.kind !== "hello" || isGreeted) return;
      isGreeted = true;
      this.#admit(line, message, heldUntil);
    };
  }

  #admit(line: LineToRelay, hello: Extract<RelaySays, { kind: "hello" }>, heldUntil: number): void {
    if (!line.isOpen) return;
    if (this.#term !== undefined) {
      this.#term.join(hello, line);
      return;
    }
    const { leader } = this.#candidate;
    if (leader !== undefined && leader !== this.name) {
      line.send({ kind: "reconnect", to: leader });
    } else if (this.process.now >= heldUntil) {
      line.close();
    } else {
      this.process.after(100, () => this.#admit(line, hello, heldUntil));
    }
  }
}
