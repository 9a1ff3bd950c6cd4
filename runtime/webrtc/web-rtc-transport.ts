// Peers by WebRTC data channels, for those that TCP does not lead to. A call is set up in three steps that
// relays pass on, each of them signed with the key of which its sender's id is the hash (`call-proof.ts`):
// nothing is begun with a side that has not proven who it is. Data flows only after the certificate is the
// one that was told, and both sides have said both nonces.
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import type { PeerId } from "../../core/swarm/message.ts";
import type { PeerSignal } from "../../proto/gen/millrace/v1/fleet.ts";
import type { PeerIdentity } from "../peer/peer-identity.ts";
import type { PeerTransport } from "../peer/peer-transport.ts";
import type { Introduction, SwarmLog } from "../peer/swarm.ts";
import type { SigningKey } from "../signing-key.ts";
import { type CallEnd, onLoopback } from "./call-end.ts";
import { CallHost, limitError } from "./call-host.ts";
import { CallProofError, checkProof, prove } from "./call-proof.ts";
import { askOf, readSignal, replyTo, type Signal, writeSignal } from "./signal.ts";
import { hasWrtc, type IceServer } from "./wrtc.ts";

/** For a call to stand, from its first step on. */
const SETUP_MS_MAX = 10_000;
/** Calls of a process: the neighbours of two swarms; each holds 2 MiB of windows at most. */
export const CALLS_MAX = 64;
const FULL = `${CALLS_MAX} calls are the limit`;

export interface WebRtcOptions {
  /** Who we are to others; without a key nobody would believe it. */
  readonly identity: PeerIdentity;
  /** Only loopback addresses are told and sent to. */
  readonly isLoopbackOnly: boolean;
  /** Contacted at each call; none by default. */
  readonly iceServers?: readonly IceServer[];
  readonly log: SwarmLog;
  /** Hands a step to the relay. */
  readonly send: (signal: PeerSignal) => void;
}

/** A call that is being set up. */
interface SetUp {
  readonly pack: string;
  /** Gives the call up; the other side refuses it so. */
  readonly over: AbortController;
  /** Aborts when the call is given up, is late, or is wanted no more. */
  readonly limit: AbortSignal;
  /** What the other side has said last. */
  last?: Signal;
  /** The step that it waits for. */
  awaited?: { readonly kind: "offer" | "answer"; readonly came: (signal: Signal) => void };
}

export class WebRtcTransport implements PeerTransport {
  readonly #options: WebRtcOptions;
  readonly #key: SigningKey;
  readonly #host: CallHost;
  /** By the other peer's id and the call's nonce. */
  readonly #setUps = new Map<string, SetUp>();
  readonly #closing = new AbortController();
  #taken: (socket: Socket, caller: PeerId) => void = (socket) => socket.destroy();

  /** The transport, or undefined where npm has not installed the optional package or we cannot prove who we are. */
  static create(options: WebRtcOptions): WebRtcTransport | undefined {
    const { identity, log } = options;
    if (!hasWrtc()) {
      log.info({}, "@roamhq/wrtc is not installed: peers are reached by TCP only");
    } else if (identity.key === undefined) {
      log.info({}, "this id is from before ids had keys: peers are reached by TCP only");
    } else return new WebRtcTransport(options, identity.key);
    return undefined;
  }

  private constructor(options: WebRtcOptions, key: SigningKey) {
    this.#options = options;
    this.#key = key;
    this.#host = new CallHost(options.iceServers ?? []);
  }

  /** Whom others call here. */
  get peerId(): PeerId {
    return this.#options.identity.id;
  }

  /** Calls that stand or are being set up. */
  get calls(): number {
    return this.#host.calls;
  }

  /** Process id of the process of calls, while there is one. */
  get pid(): number | undefined {
    return this.#host.pid;
  }

  reaches(peer: Introduction): boolean {
    return peer.isCallable === true;
  }

  async dial(pack: string, { peerId: to }: Introduction, signal: AbortSignal): Promise<Socket> {
    if (this.#host.calls >= CALLS_MAX) throw new Error(FULL);
    const ask = askOf(pack, randomBytes(16).toString("hex"), this.peerId, to);
    const setUp = this.#begin(pack, signal);
    return await this.#settle(setUp, keyOf(to, ask.call), async () => {
      const offer = await this.#next(setUp, ask, "offer");
      if (offer.step.kind !== "offer") throw new Error("no offer came");
      const { end, nonce } = offer.step;
      const hosted = this.#host.begin(setUp.limit);
      const own = await hosted.answer(this.#usable(end), openingOf(ask.call, nonce));
      this.#say(replyTo(offer, { kind: "answer", end: this.#told(own), nonce }));
      return await hosted.socket;
    });
  }

  accept(taken: (socket: Socket, caller: PeerId) => void): void {
    this.#taken = taken;
  }

  /** A step has come from the relay. */
  heard(message: PeerSignal): void {
    let signal: Signal;
    try {
      signal = readSignal(message);
      if (signal.to !== this.peerId) throw new Error(`it is for ${signal.to}`);
      if (signal.from === "" || signal.from === this.peerId) throw new Error("it is from nobody");
    } catch (error) {
      this.#options.log.warn({ err: error }, "a call's step is unusable");
      return;
    }
    const { from, call, pack, step } = signal;
    const setUp = this.#setUps.get(keyOf(from, call));
    if (step.kind === "ask") {
      if (setUp === undefined) void this.#offer(signal);
      return;
    }
    // Only the other side of the call can take it on, for the same swarm, and one step at a time.
    if (setUp === undefined || setUp.pack !== pack) return;
    setUp.last = signal;
    if (step.kind === "refusal") setUp.over.abort(new Error(`refused: ${step.reason}`));
    else if (step.kind === setUp.awaited?.kind) setUp.awaited.came(signal);
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error("calls are no longer taken"));
    await this.#host.close();
  }

  /** Somebody asks for a call. */
  async #offer(ask: Signal): Promise<void> {
    const { from, call, pack } = ask;
    if (this.#host.calls >= CALLS_MAX) {
      this.#refuse(ask, FULL);
      return;
    }
    const setUp = this.#begin(pack);
    setUp.last = ask;
    try {
      const socket = await this.#settle(setUp, keyOf(from, call), async () => {
        checkProof(ask);
        const hosted = this.#host.begin(setUp.limit);
        const nonce = randomBytes(16).toString("hex");
        const offer = { kind: "offer", end: this.#told(await hosted.offer()), nonce } as const;
        const { step } = await this.#next(setUp, replyTo(ask, offer), "answer");
        if (step.kind !== "answer") throw new Error("no answer came");
        if (step.nonce !== nonce) throw new CallProofError(`${from} answers another offer`);
        hosted.connect(this.#usable(step.end), openingOf(call, nonce));
        return await hosted.socket;
      });
      this.#taken(socket, from);
    } catch {
      // The caller is told; whether it is worth another try is its business.
    }
  }

  /** A call that must stand or be over in time. */
  #begin(pack: string, ...signals: AbortSignal[]): SetUp {
    const over = new AbortController();
    const late = AbortSignal.timeout(SETUP_MS_MAX);
    const limit = AbortSignal.any([...signals, over.signal, late, this.#closing.signal]);
    return { pack, over, limit };
  }

  /** Goes through the steps of a call; where it comes to nothing, log and other side are told why, and it rejects. */
  async #settle(setUp: SetUp, key: string, steps: () => Promise<Socket>): Promise<Socket> {
    this.#setUps.set(key, setUp);
    try {
      return await steps();
    } catch (error) {
      const { pack, over, last } = setUp;
      const isRefused = over.signal.aborted;
      over.abort(error);
      const reason = (error as Error).message;
      const level = error instanceof CallProofError ? "warn" : "debug";
      this.#options.log[level]({ pack, peer: last?.from, reason }, "a call came to nothing");
      if (last !== undefined && !isRefused) this.#refuse(last, reason);
      throw error;
    } finally {
      this.#setUps.delete(key);
    }
  }

  /** Says a step and resolves with the one that follows, proven; rejects where the call is given up. */
  async #next(setUp: SetUp, step: Signal, kind: "offer" | "answer"): Promise<Signal> {
    const { limit } = setUp;
    const next = Promise.withResolvers<Signal>();
    const giveUp = (): void => next.reject(limitError(limit));
    limit.addEventListener("abort", giveUp);
    setUp.awaited = { kind, came: next.resolve };
    try {
      limit.throwIfAborted();
      this.#say(step);
      const said = await next.promise;
      checkProof(said);
      return said;
    } finally {
      limit.removeEventListener("abort", giveUp);
      delete setUp.awaited;
    }
  }

  #say(step: Signal): void {
    this.#options.send(writeSignal(prove(step, this.#key)));
  }

  /** Not signed: a refusal may be a relay's, which can end every call by saying nothing. */
  #refuse(signal: Signal, reason: string): void {
    if (this.#closing.signal.aborted) return;
    this.#options.send(writeSignal(replyTo(signal, { kind: "refusal", reason })));
  }

  /** Our end as others may see it. */
  #told(end: CallEnd): CallEnd {
    return this.#options.isLoopbackOnly ? onLoopback(end) : end;
  }

  /** Another's end, with the addresses that may be sent to; throws where there is none. */
  #usable(end: CallEnd): CallEnd {
    const usable = this.#told(end);
    if (usable.addresses.length > 0) return usable;
    throw new Error("none of its addresses may be used: beyond loopback that takes --insecure");
  }
}

function keyOf(peer: PeerId, call: string): string {
  return `${peer} ${call}`;
}

/** What each side says first on the data channel: that it took part in these very steps. */
function openingOf(call: string, nonce: string): string {
  return `${call} ${nonce}`;
}
