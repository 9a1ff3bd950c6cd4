// A simulated agent's line to a relay of its region, as agent/relay-session.ts keeps it: it goes to the relay that the
// real order names first, and comes back after full-jitter waits or when it was told.
import { backoffMs, RELAY_BACKOFF } from "../../core/fleet/agent-backoff.ts";
import { type KnownRelay, relayOrder } from "../../core/fleet/agent-relay-choice.ts";
import type { End, Listener, Network } from "./lines.ts";
import type { AgentSays, RelayTells } from "./messages.ts";
import type { Process } from "./process.ts";

/** A stream on which no relay answers in that time is left for another's. */
const WELCOME_MS_MAX = 10_000;

export interface RelayLineOptions {
  readonly process: Process;
  readonly network: Network;
  readonly relays: () => readonly Listener<AgentSays, RelayTells>[];
  /** What it says first, on its n-th connection, after that relay has welcomed it last. */
  readonly hello: (connect: number, relayBefore: string | undefined) => AgentSays;
  readonly onTold: (message: Exclude<RelayTells, { kind: "reconnect" }>) => void;
}

/** Stays connected from when it is made. */
export class RelayLine {
  readonly #options: RelayLineOptions;
  readonly #failed = new Set<string>();
  #line: End<RelayTells, AgentSays> | undefined;
  #failures = 0;
  #connects = 0;
  #isWelcome = false;
  #welcomedBy: string | undefined;

  constructor(options: RelayLineOptions) {
    this.#options = options;
    this.#connect();
  }

  /** A relay has welcomed it and still listens. */
  get isWelcome(): boolean {
    return this.#isWelcome;
  }

  /** Says something, if a relay listens now. */
  send(message: AgentSays): void {
    this.#line?.send(message);
  }

  #connect(): void {
    const { network, process, relays } = this.#options;
    const all = new Map(relays().map((listener) => [listener.process.name, listener]));
    const known = [...all.keys()].map(
      (id): KnownRelay => ({ id, address: id, agents: 0, capacity: 0 }),
    );
    const [first] = relayOrder(process.name, known, this.#failed);
    const listener = first && all.get(first.id);
    if (listener === undefined) return;
    const { name } = listener.process;
    // Where all have failed, all may be tried again.
    if (this.#failed.has(name)) this.#failed.clear();
    network.dial<AgentSays, RelayTells>(process, listener, (line) => {
      if (line === undefined) this.#lost(name);
      else this.#serve(line, name);
    });
  }

  #serve(line: End<RelayTells, AgentSays>, relay: string): void {
    const { process, hello, onTold } = this.#options;
    this.#connects += 1;
    this.#line = line;
    const lose = (afterMs?: number): void => {
      if (this.#line !== line) return;
      this.#line = undefined;
      this.#isWelcome = false;
      line.close();
      if (afterMs === undefined) this.#lost(relay);
      else process.after(afterMs, () => this.#connect());
    };
    line.onGone = () => lose();
    line.onMessage = (message) => {
      if (message.kind === "reconnect") {
        lose(message.afterMs);
        return;
      }
      if (message.kind === "welcome") this.#welcomed(relay);
      onTold(message);
    };
    line.send(hello(this.#connects, this.#welcomedBy));
    process.after(WELCOME_MS_MAX, () => {
      if (!this.#isWelcome) lose();
    });
  }

  #welcomed(relay: string): void {
    this.#isWelcome = true;
    this.#welcomedBy = relay;
    this.#failed.clear();
    this.#failures = 0;
  }

  #lost(relay: string): void {
    const { process } = this.#options;
    this.#failed.add(relay);
    this.#failures += 1;
    const bound = backoffMs(RELAY_BACKOFF, this.#failures);
    process.after(process.ground.random() * bound, () => this.#connect());
  }
}
