// The AgentService: takes agents in and lets them go, one session each. Whoever listens is told who
// came, what it said and who went; nothing about rollouts or packs is known here.

import { status } from "@grpc/grpc-js";
import type {
  AgentHello,
  AgentServiceServer,
  ConnectAgentRequest,
  PeerSignal,
  ServiceStatus,
  SwarmMembership,
} from "../proto/gen/millrace/v1/fleet.ts";
import {
  aborted,
  asServiceError,
  comeBackMs,
  ending,
  invalid,
  RpcError,
} from "../runtime/grpc/rpc-error.ts";
import type { Log } from "../runtime/log.ts";
import { pause } from "../runtime/program/back-off.ts";
import type { Drain } from "../runtime/program/lifecycle.ts";
import { AgentSession, type AgentStream } from "./agent-session.ts";
import { bounded, checkHello, checkPack, checkStatus } from "./wire.ts";

/** A stream that has not said hello by then is ended. */
const HELLO_MS_MAX = 10_000;
/** Streams that have not said hello yet. */
const STRANGERS_MAX = 1_000;
/** When an agent that finds no place is to come back, before jitter of as much again. */
const FULL_COME_BACK_MS = 2_000;
/** Agents that a relay which ends sends away at a time: another greets some thousand a second. */
const MOVED_A_TURN = 200;
const TURN_MS = 100;
/** Of the time to drain, so much is for sending agents away where they are many: 20,000 need 10 s. */
const MOVING_SHARE = 0.7;

export interface AgentSessionsOptions {
  readonly region: string;
  readonly capacity: number;
  readonly log: Log;
  readonly onJoined: (session: AgentSession) => void;
  readonly onStatus: (session: AgentSession, status: ServiceStatus) => void;
  readonly onSwarm: (session: AgentSession, membership: SwarmMembership) => void;
  readonly onSignal: (session: AgentSession, signal: PeerSignal) => void;
  readonly onGone: (session: AgentSession) => void;
}

/** All agents connected to this relay. */
export class AgentSessions {
  readonly #options: AgentSessionsOptions;
  readonly #sessions = new Map<string, AgentSession>();
  readonly #strangers = new Set<AgentStream>();
  #isClosed = false;

  constructor(options: AgentSessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get(agentId: string): AgentSession | undefined {
    return this.#sessions.get(agentId);
  }

  all(): Iterable<AgentSession> {
    return this.#sessions.values();
  }

  /** Handlers of the gRPC service. */
  service(): AgentServiceServer {
    return { connectAgent: (stream) => this.#accept(stream) };
  }

  /**
   * Takes nobody more, and sends everybody away, as many at a time as another relay takes: each is without a
   * relay for a second at most, and keeps this one until it is its turn.
   */
  async close({ leftMs, over }: Drain): Promise<void> {
    this.#isClosed = true;
    for (const stream of this.#strangers) stream.end();
    const leaving = [...this.#sessions.values()];
    const turns = Math.ceil(leaving.length / MOVED_A_TURN);
    const turnMs = Math.min(TURN_MS, (leftMs * MOVING_SHARE) / Math.max(1, turns));
    while (leaving.length > 0) {
      for (const session of leaving.splice(0, MOVED_A_TURN)) {
        session.send({ $case: "reconnect", reconnect: { address: "", afterMs: comeBackMs() } });
        session.end();
      }
      if (leaving.length > 0) await pause(turnMs, over);
    }
  }

  /** The agent is connected to another relay: what is left of its session here ends. */
  let(agentId: string): void {
    const session = this.#sessions.get(agentId);
    if (session === undefined) return;
    this.#let(session);
    session.end(aborted(`agent ${agentId} is connected to another relay`));
  }

  #accept(stream: AgentStream): void {
    if (this.#isClosed) {
      stream.emit(
        "error",
        asServiceError(ending("this relay is ending; go to another"), this.#options.log),
      );
      return;
    }
    let session: AgentSession | undefined;
    const refuse = (error: unknown): void => {
      if (session !== undefined) session.end(asRpcError(error, this.#options.log));
      else stream.emit("error", asServiceError(error, this.#options.log));
    };
    if (this.#strangers.size >= STRANGERS_MAX) {
      refuse(new RpcError(status.UNAVAILABLE, "too many agents are connecting; come back later"));
      return;
    }
    this.#strangers.add(stream);
    const timer = setTimeout(() => {
      refuse(new RpcError(status.DEADLINE_EXCEEDED, `no hello within ${HELLO_MS_MAX} ms`));
    }, HELLO_MS_MAX);
    const met = (): void => {
      clearTimeout(timer);
      this.#strangers.delete(stream);
    };
    stream.on("data", (request: ConnectAgentRequest) => {
      try {
        if (session === undefined) {
          met();
          session = this.#greet(stream, request);
        } else if (!session.isEnded) this.#hear(session, request);
      } catch (error) {
        refuse(error);
      }
    });
    const gone = (): void => {
      met();
      if (session !== undefined) this.#let(session);
    };
    stream.on("end", () => {
      gone();
      if (session === undefined) stream.end();
      else session.end();
    });
    stream.on("cancelled", gone);
    stream.on("error", gone);
  }

  #greet(stream: AgentStream, { message }: ConnectAgentRequest): AgentSession | undefined {
    if (message?.$case !== "hello") throw invalid("the first message must be hello");
    const { hello } = message;
    checkHello(hello, this.#options.region);
    const session = new AgentSession(stream, hello, Date.now());
    const before = this.#sessions.get(hello.agent);
    if (before === undefined && this.#sessions.size >= this.#options.capacity) {
      const afterMs = Math.round(FULL_COME_BACK_MS * (1 + Math.random()));
      session.send({ $case: "reconnect", reconnect: { address: "", afterMs } });
      session.end(
        new RpcError(status.RESOURCE_EXHAUSTED, `${this.#options.capacity} agents are connected`),
      );
      return undefined;
    }
    if (before !== undefined) this.#replace(before, session, hello);
    this.#sessions.set(hello.agent, session);
    this.#options.log.debug({ agent: hello.agent, boot: hello.boot }, "agent connected");
    this.#options.onJoined(session);
    return session;
  }

  #replace(
    before: AgentSession,
    session: AgentSession,
    { agent, boot, connect }: AgentHello,
  ): void {
    const newer = `a newer session of agent ${agent} is connected`;
    if (!session.isAfter(before))
      throw aborted(`${newer}; boot ${boot}, connect ${connect} is older`);
    this.#let(before);
    before.end(aborted(newer));
  }

  #hear(session: AgentSession, { message }: ConnectAgentRequest): void {
    switch (message?.$case) {
      case "status": {
        checkStatus(message.status);
        const said = bounded(message.status);
        session.services.set(said.service, said);
        this.#options.onStatus(session, said);
        break;
      }
      case "swarm":
        checkPack(message.swarm.pack);
        this.#options.onSwarm(session, message.swarm);
        break;
      case "signal":
        this.#options.onSignal(session, message.signal);
        break;
      case "hello":
        throw invalid("hello may be said only once");
      case undefined:
        // A later version may say more than this one knows.
        break;
      default:
        message satisfies never;
    }
  }

  /** Forgets a session, once. */
  #let(session: AgentSession): void {
    if (this.#sessions.get(session.id) !== session) return;
    this.#sessions.delete(session.id);
    this.#options.log.debug({ agent: session.id }, "agent gone");
    this.#options.onGone(session);
  }
}

function asRpcError(error: unknown, log: Log): RpcError {
  if (error instanceof RpcError) return error;
  const { code, details } = asServiceError(error, log);
  return new RpcError(code as status, details as string);
}
