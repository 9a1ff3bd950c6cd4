// Passes steps of calls on, between members of a swarm and nobody else: to an own agent, to our own peer,
// or to the sibling whose agent it is for. It says who speaks, whatever the speaker wrote, and holds
// back who speaks too often; a call that it cannot pass on is refused, so that nobody waits for it.
import type { Roster } from "../core/fleet/roster.ts";
import { TokenBucket } from "../core/fleet/token-bucket.ts";
import type { PeerSignal } from "../proto/gen/millrace/v1/fleet.ts";
import { monotonicNow } from "../runtime/driver.ts";
import { invalid } from "../runtime/grpc/rpc-error.ts";
import { CallEndError } from "../runtime/webrtc/call-end.ts";
import {
  readSignal,
  replyTo,
  type Signal,
  SignalError,
  writeSignal,
} from "../runtime/webrtc/signal.ts";
import type { AgentSession } from "./agent-session.ts";

/** Steps of one agent: the 8 neighbours of 8 swarms at once, then a step a second for each of them. */
const SPOKEN_BURST = 64;
const SPOKEN_PER_S = 8;
/** Steps for one agent, of all others together: about 800 bytes each, so 50 KB at once. */
const HEARD_BURST = 64;
const HEARD_PER_S = 16;

interface Allowance {
  readonly spoken: TokenBucket;
  readonly heard: TokenBucket;
}

export interface SignalSwitchOptions {
  readonly relayId: string;
  readonly roster: Roster;
  readonly session: (agentId: string) => AgentSession | undefined;
  /** Gives a step to a sibling; false where no stream leads there. */
  readonly toSibling: (relayId: string, signal: PeerSignal) => boolean;
  /** Gives a step to our own peer. */
  readonly toOwnPeer: (signal: PeerSignal) => void;
}

export class SignalSwitch {
  readonly #options: SignalSwitchOptions;
  readonly #allowances = new WeakMap<AgentSession, Allowance>();

  constructor(options: SignalSwitchOptions) {
    this.#options = options;
  }

  /** An own agent speaks; throws INVALID_ARGUMENT for what breaks the rules of a step. */
  heard(session: AgentSession, message: PeerSignal): void {
    const { relayId } = this.#options;
    const signal = { ...read(message), from: session.id, fromRelay: relayId };
    if (!session.swarms.has(signal.pack)) {
      this.#refuse(signal, "you are not in that swarm");
    } else if (!this.#allowanceOf(session).spoken.take(monotonicNow())) {
      this.#refuse(signal, "you call too often");
    } else this.#pass(signal);
  }

  /** Our own peer speaks. */
  spoken(message: PeerSignal): void {
    const { relayId } = this.#options;
    this.#pass({ ...read(message), from: relayId, fromRelay: relayId });
  }

  /** A sibling passes on what one of its agents says; what breaks the rules is dropped. */
  passedOn(sibling: string, message: PeerSignal): void {
    let signal: Signal;
    try {
      signal = { ...readSignal(message), fromRelay: sibling };
    } catch {
      return;
    }
    const { relayId, session } = this.#options;
    // Nobody but us speaks for our own agents, and what is for others' agents is not ours to pass on.
    if (signal.from === "" || signal.from === relayId || session(signal.from) !== undefined) return;
    if (signal.to === relayId || session(signal.to) !== undefined) this.#pass(signal);
    else this.#refuse(signal, "the agent has gone");
  }

  #pass(signal: Signal): void {
    const { relayId, roster, session, toSibling, toOwnPeer } = this.#options;
    const { pack, to, toRelay } = signal;
    if (to === relayId) {
      toOwnPeer(writeSignal(signal));
      return;
    }
    const own = session(to);
    if (own !== undefined) {
      this.#deliver(own, signal);
      return;
    }
    const relay = roster.relayOf(pack, to) ?? toRelay;
    if (relay !== "" && relay !== relayId && toSibling(relay, writeSignal(signal))) return;
    this.#refuse(signal, "no relay knows the peer");
  }

  #deliver(session: AgentSession, signal: Signal): void {
    const isMember = session.swarms.has(signal.pack) && session.hello.callable;
    if (!isMember) this.#refuse(signal, "the peer takes no calls for that swarm");
    else if (!this.#allowanceOf(session).heard.take(monotonicNow())) {
      this.#refuse(signal, "the peer is called too often");
    } else session.send({ $case: "signal", signal: writeSignal(signal) });
  }

  /** Ends a call in the name of whom the step was for. */
  #refuse(signal: Signal, reason: string): void {
    if (signal.step.kind === "refusal") return;
    const refusal = writeSignal(replyTo(signal, { kind: "refusal", reason }));
    const { relayId, session, toSibling, toOwnPeer } = this.#options;
    if (signal.from === relayId) toOwnPeer(refusal);
    else if (signal.fromRelay !== relayId) toSibling(signal.fromRelay, refusal);
    else session(signal.from)?.send({ $case: "signal", signal: refusal });
  }

  #allowanceOf(session: AgentSession): Allowance {
    const known = this.#allowances.get(session);
    if (known !== undefined) return known;
    const now = monotonicNow();
    const allowance = {
      spoken: new TokenBucket(now, SPOKEN_BURST, SPOKEN_PER_S),
      heard: new TokenBucket(now, HEARD_BURST, HEARD_PER_S),
    };
    this.#allowances.set(session, allowance);
    return allowance;
  }
}

function read(message: PeerSignal): Signal {
  try {
    return readSignal(message);
  } catch (error) {
    if (error instanceof SignalError || error instanceof CallEndError) throw invalid(error.message);
    throw error;
  }
}
