// An agent's one stream to a relay of its region: finds one, says hello, hands over what comes, and
// goes to another when it is lost. It loses nothing by that: hello carries all there is to say, and
// the relay's snapshot all there is to hear. Agents have one each, and so has each agent of a load run.
import { status as Code, type ServiceError } from "@grpc/grpc-js";
import { RELAY_BACKOFF } from "../../core/fleet/agent-backoff.ts";
import { type KnownRelay, relayOrder } from "../../core/fleet/agent-relay-choice.ts";
import type { AgentHello } from "../../proto/gen/millrace/v1/fleet.ts";
import type { Log } from "../log.ts";
import { BackOff, pause } from "../program/back-off.ts";
import {
  type AgentMessage,
  OWN_CONNECTIONS,
  type RelayCommand,
  type RelayStream,
  type Ways,
} from "./relay-ways.ts";

/** A relay that takes the stream but does not welcome us is as good as gone. */
const WELCOME_MS_MAX = 10_000;
const LOCATE_MS_MAX = 5_000;

export interface RelaySessionOptions {
  readonly agentId: string;
  readonly region: string;
  /** Addresses of control planes or relays. */
  readonly join: readonly string[];
  /** Relays that an earlier life knew. */
  readonly known: readonly KnownRelay[];
  /** What to say first on the n-th connection, after that relay has welcomed it last; "": none has. */
  readonly hello: (connect: number, relayBefore: string) => AgentHello;
  readonly onCommand: (command: RelayCommand) => void;
  /** The relays of the region are these. */
  readonly onRelays: (relays: readonly KnownRelay[]) => void;
  /** Connections of its own unless given. */
  readonly ways?: Ways;
  readonly log: Log;
}

export class RelaySession {
  readonly #options: RelaySessionOptions;
  readonly #ways: Ways;
  readonly #closing = new AbortController();
  readonly #backOff = new BackOff(RELAY_BACKOFF.firstMs, RELAY_BACKOFF.mostMs);
  readonly #failed = new Set<string>();
  #relays: readonly KnownRelay[];
  #stream: RelayStream | undefined;
  #isWelcome = false;
  /** No relay has taken it since it last asked for them: what it knows of them may be old. */
  #mustAsk = true;
  #connects = 0;
  #welcomedBy = "";
  #comeBackMs: number | undefined;

  constructor(options: RelaySessionOptions) {
    this.#options = options;
    this.#ways = options.ways ?? OWN_CONNECTIONS;
    this.#relays = options.known;
  }

  /** Stays connected until `close`. */
  async run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const relay = await this.#next();
      if (relay !== undefined) await this.#serve(relay);
      if (this.#comeBackMs === undefined) await this.#backOff.wait(signal);
      else await pause(this.#comeBackMs, signal);
      this.#comeBackMs = undefined;
    }
  }

  /** Whether a relay has welcomed this agent and still listens. */
  get isWelcome(): boolean {
    return this.#isWelcome;
  }

  /** Says something, if a relay listens now. */
  send(message: AgentMessage): void {
    this.#stream?.send(message);
  }

  close(): void {
    this.#closing.abort();
    this.#stream?.end();
  }

  async #next(): Promise<KnownRelay | undefined> {
    const { agentId, join, log } = this.#options;
    // A lost relay has 10,000 agents look for another at once: those that know one ask nobody.
    const isAnyLeft = this.#relays.some(({ address }) => !this.#failed.has(address));
    if (this.#mustAsk || !isAnyLeft) {
      const located = await this.#locate();
      if (located.length > 0) this.#relays = located;
    }
    this.#mustAsk = true;
    const [first] = relayOrder(agentId, this.#relays, this.#failed);
    if (first === undefined) log.warn({ join }, "no relay of the region is known");
    // Where all have failed, all may be tried again.
    if (first !== undefined && this.#failed.has(first.address)) this.#failed.clear();
    return first;
  }

  /** Asks each address to join for the relays; one that cannot say is taken for a relay itself. */
  async #locate(): Promise<readonly KnownRelay[]> {
    const { join, region, log } = this.#options;
    for (const address of join) {
      try {
        const relays = await this.#ways.locate(
          address,
          region,
          LOCATE_MS_MAX,
          this.#closing.signal,
        );
        if (relays.length > 0) return relays;
      } catch (error) {
        const { code, details } = error as ServiceError;
        if (code === Code.UNIMPLEMENTED) {
          return [{ id: address, address, agents: 0, capacity: 0 }];
        }
        log.debug({ address, code, details }, "relays could not be asked for");
      }
    }
    return [];
  }

  async #serve(relay: KnownRelay): Promise<void> {
    const { hello, log } = this.#options;
    this.#connects += 1;
    const { promise, resolve: ended } = Promise.withResolvers<string>();
    const stream = this.#ways.open(relay.address, {
      command: (command) => {
        if (command.$case === "welcome") {
          clearTimeout(timer);
          this.#welcomedBy = command.welcome.relay;
          this.#welcomed(relay);
        }
        this.#hear(command, stream);
      },
      ended,
    });
    const timer = setTimeout(() => stream.cancel(), WELCOME_MS_MAX);
    stream.send({ $case: "hello", hello: hello(this.#connects, this.#welcomedBy) });
    // What changes from now on is said after the hello, welcomed yet or not.
    this.#stream = stream;
    const reason = await promise;
    clearTimeout(timer);
    this.#stream = undefined;
    this.#isWelcome = false;
    this.#failed.add(relay.address);
    log.info({ relay: relay.address, reason }, "relay lost");
  }

  #welcomed(relay: KnownRelay): void {
    this.#isWelcome = true;
    this.#mustAsk = false;
    this.#failed.clear();
    this.#backOff.reset();
    this.#options.log.info({ relay: relay.address }, "connected to a relay");
  }

  #hear(command: RelayCommand, stream: RelayStream): void {
    if (command.$case === "welcome" && command.welcome.relays.length > 0) {
      this.#relays = command.welcome.relays;
      this.#options.onRelays(this.#relays);
    }
    if (command.$case === "reconnect") {
      this.#comeBackMs = command.reconnect.afterMs;
      stream.end();
      return;
    }
    this.#options.onCommand(command);
  }
}
