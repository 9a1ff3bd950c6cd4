// One agent's stream: what it said of itself, and a bounded way to tell it something. Sessions of one
// agent are ordered by start of its boot and count of its connections; what they mean is decided elsewhere.
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { AnswerPace } from "../core/fleet/answer-pace.ts";
import { isLater } from "../core/fleet/session-order.ts";
import type { RosterMember } from "../core/fleet/swarm-members.ts";
import type { Candidate } from "../core/rollout/targets.ts";
import type {
  AgentHello,
  AgentInfo,
  ConnectAgentRequest,
  ConnectAgentResponse,
  Permit,
  ServiceStatus,
} from "../proto/gen/millrace/v1/fleet.ts";
import type { RpcError } from "../runtime/grpc/rpc-error.ts";
import { unavailable } from "../runtime/grpc/rpc-error.ts";
import { bounded } from "./wire.ts";

/** Messages waiting for an agent that reads slowly: a snapshot of 200 services and 20 tables. */
const UNSENT_MAX = 4_096;
/** The labels that name where an agent stands, and how many characters of them tell places apart. */
const ZONE_LABEL = "zone";
const RACK_LABEL = "rack";
const PLACE_MAX = 64;

export type AgentCommand = NonNullable<ConnectAgentResponse["command"]>;
export type AgentStream = ServerDuplexStream<ConnectAgentRequest, ConnectAgentResponse>;

/** What an agent has been told in one swarm. */
export interface SwarmPlace {
  readonly peers: Set<string>;
  pieces: number;
  isSealed: boolean;
}

/** What swarms mean to one agent. */
interface AgentSwarms {
  readonly places: Map<string, SwarmPlace>;
  readonly pace: AnswerPace;
  readonly answersDue: Set<string>;
}

/** A connected agent. */
export class AgentSession {
  readonly candidate: Candidate;
  readonly hello: AgentHello;
  /** How each of its services stands. */
  readonly services = new Map<string, ServiceStatus>();
  /** Services and orders it was told of. */
  readonly toldServices = new Set<string>();
  readonly toldOrders = new Set<string>();
  #swarms: AgentSwarms | undefined;
  readonly #stream: AgentStream;
  readonly #connectedAtMs: number;
  #isEnded = false;

  constructor(stream: AgentStream, hello: AgentHello, connectedAtMs: number) {
    this.#stream = stream;
    this.#connectedAtMs = connectedAtMs;
    this.hello = hello;
    this.candidate = { agentId: hello.agent, region: hello.region, labels: hello.labels };
    for (const status of hello.services) this.services.set(status.service, bounded(status));
  }

  get id(): string {
    return this.hello.agent;
  }

  /** Packs whose swarm it is in, with what it was told there. */
  get swarms(): Map<string, SwarmPlace> {
    return this.#inSwarms.places;
  }

  get pace(): AnswerPace {
    return this.#inSwarms.pace;
  }

  /** Packs that it asked about and is answered about as soon as it may be; each was answered a moment ago. */
  get answersDue(): Set<string> {
    return this.#inSwarms.answersDue;
  }

  /** Made at the first swarm: most of the time a machine is in none, and there are 20,000 of them. */
  get #inSwarms(): AgentSwarms {
    this.#swarms ??= { places: new Map(), pace: new AnswerPace(), answersDue: new Set() };
    return this.#swarms;
  }

  /** Whether it takes permits before their release is staged, and beside assignments. */
  get takesEarly(): boolean {
    return this.hello.earlyPermits;
  }

  /** Whether other peers can open connections to it. */
  get isReachable(): boolean {
    return this.hello.swarmAddress !== "" || this.hello.callable;
  }

  /** The agent as its neighbours know it. */
  get member(): RosterMember {
    const { agent: peerId, swarmAddress: address, callable: isCallable, labels } = this.hello;
    const zone = labels[ZONE_LABEL]?.slice(0, PLACE_MAX) ?? "";
    const rack = labels[RACK_LABEL]?.slice(0, PLACE_MAX) ?? "";
    return { peerId, address, isCallable, zone, rack };
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /**
   * Sends a command, beside assignments with a permit under them; an agent that does not read is let go, and comes back
   * to a fresh snapshot.
   */
  send(command: AgentCommand, permitBeside?: Permit): void {
    if (this.#isEnded) return;
    this.#stream.write({ command, permitBeside });
    if (this.#stream.writableLength <= UNSENT_MAX) return;
    this.end(unavailable(`${UNSENT_MAX} commands wait unread; connect again`));
  }

  /** Ends the stream, with a status where there is something to say. */
  end(error?: RpcError): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    if (error === undefined) this.#stream.end();
    else this.#stream.emit("error", { code: error.code, details: error.message });
  }

  /** Whether this session is a later one of the same agent. */
  isAfter(other: AgentSession): boolean {
    return isLater(this.hello, other.hello);
  }

  /** The machine as it is told to the control plane. */
  info(relay: string): AgentInfo {
    const { agent, region, labels, swarmAddress, version, root } = this.hello;
    return {
      id: agent,
      region,
      relay,
      labels,
      swarmAddress,
      version,
      root,
      connectedAtMs: this.#connectedAtMs,
      services: [...this.services.values()],
      online: true,
    };
  }
}
