// Peers by WebRTC data channels, for those that TCP does not lead to. A call is set up in three steps that
// relays pass on; whom a step is from is what the relay says, until agents have keys to sign with. Data
// flows only after the certificate is the one that was told, and both sides have said both nonces.
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import type { PeerId } from "../../core/swarm/message.ts";
import type { PeerSignal } from "../../proto/gen/millrace/v1/fleet.ts";
import type { PeerTransport } from "../peer/peer-transport.ts";
import type { Introduction, SwarmLog } from "../peer/swarm.ts";
import { type CallEnd, onLoopback } from "./call-end.ts";
import { CallHost, limitError } from "./call-host.ts";
import {
  type CallStep,
  readSignal,
  replyTo,
  type Signal,
  UNSIGNED,
  writeSignal,
} from "./signal.ts";
import { hasWrtc, type IceServer } from "./wrtc.ts";

/** For a call to stand, from its first step on. */
const SETUP_MS_MAX = 10_000;
/** Calls of a process: the neighbours of two swarms; each holds 2 MiB of windows at most. */
export const CALLS_MAX = 64;
const FULL = `${CALLS_MAX} calls are the limit`;

export interface WebRtcOptions {
  readonly peerId: PeerId;
  /** Only loopback addresses are told and sent to. */
  readonly isLoopbackOnly: boolean;
  /** Contacted at each call; none by default. */
  readonly iceServers?: readonly IceServer[];
  readonly log: SwarmLog;
  /** Hands a step to the relay. */
  readonly send: (signal: PeerSignal) => void;
}

/** The next step that a call waits for. */
interface Awaited {
  readonly pack: string;
  readonly kind: CallStep["kind"];
  readonly came: PromiseWithResolvers<Signal>;
}

export class WebRtcTransport implements PeerTransport {
  readonly #options: WebRtcOptions;
  readonly #host: CallHost;
  /** By the other peer's id and the call's nonce. */
  readonly #awaited = new Map<string, Awaited>();
  readonly #closing = new AbortController();
  #taken: (socket: Socket, caller: PeerId) => void = (socket) => socket.destroy();

  /** The transport, or undefined where npm has not installed the optional package. */
  static create(options: WebRtcOptions): WebRtcTransport | undefined {
    if (hasWrtc()) return new WebRtcTransport(options);
    options.log.info({}, "@roamhq/wrtc is not installed: peers are reached by TCP only");
    return undefined;
  }

  private constructor(options: WebRtcOptions) {
    this.#options = options;
    this.#host = new CallHost(options.iceServers ?? []);
  }

  /** Whom others call here. */
  get peerId(): PeerId {
    return this.#options.peerId;
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
    const call = randomBytes(16).toString("hex");
    const ask = { ...this.#to(pack, call, to), step: { kind: "ask" } } as const;
    const limit = this.#limit(signal);
    const offer = await this.#next(ask, "offer", limit);
    if (offer.step.kind !== "offer") throw new Error("no offer came");
    const { end, nonce } = offer.step;
    const hosted = this.#host.begin(limit);
    try {
      const own = await hosted.answer(this.#usable(end), openingOf(call, nonce));
      const step = { kind: "answer", end: this.#told(own) } as const;
      this.#options.send(writeSignal(replyTo(offer, step)));
      return await hosted.socket;
    } catch (error) {
      this.#refuse(offer, (error as Error).message);
      throw error;
    }
  }

  accept(taken: (socket: Socket, caller: PeerId) => void): void {
    this.#taken = taken;
  }

  /** A step has come from the relay. */
  heard(message: PeerSignal): void {
    const { peerId, log } = this.#options;
    let signal: Signal;
    try {
      signal = readSignal(message);
      if (signal.to !== peerId) throw new Error(`it is for ${signal.to}`);
      if (signal.from === "" || signal.from === peerId) throw new Error("it is from nobody");
    } catch (error) {
      log.warn({ err: error }, "a call's step is unusable");
      return;
    }
    const { from, call, pack, step } = signal;
    if (step.kind === "ask") {
      void this.#offer(signal);
      return;
    }
    // Only the other side of the call can take it on, for the same swarm, and one step at a time.
    const awaited = this.#awaited.get(`${from} ${call}`);
    if (awaited === undefined || awaited.pack !== pack) return;
    if (step.kind === awaited.kind) awaited.came.resolve(signal);
    else if (step.kind === "refusal") awaited.came.reject(new Error(`refused: ${step.reason}`));
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
    const limit = this.#limit();
    const hosted = this.#host.begin(limit);
    try {
      const nonce = randomBytes(16).toString("hex");
      const step = { kind: "offer", end: this.#told(await hosted.offer()), nonce } as const;
      const { step: answer } = await this.#next(replyTo(ask, step), "answer", limit);
      if (answer.kind !== "answer") throw new Error("no answer came");
      hosted.connect(this.#usable(answer.end), openingOf(call, nonce));
      this.#taken(await hosted.socket, from);
    } catch (error) {
      const reason = (error as Error).message;
      this.#options.log.debug({ pack, peer: from, reason }, "a call came to nothing");
      hosted.end(reason);
      this.#refuse(ask, reason);
    }
  }

  /** Says a step and resolves with the one that follows; rejects on refusal and at the limit. */
  async #next(signal: Signal, kind: CallStep["kind"], limit: AbortSignal): Promise<Signal> {
    const key = `${signal.to} ${signal.call}`;
    const came = Promise.withResolvers<Signal>();
    const late = (): void => came.reject(limitError(limit));
    limit.addEventListener("abort", late);
    this.#awaited.set(key, { pack: signal.pack, kind, came });
    try {
      limit.throwIfAborted();
      this.#options.send(writeSignal(signal));
      return await came.promise;
    } finally {
      limit.removeEventListener("abort", late);
      this.#awaited.delete(key);
    }
  }

  #to(pack: string, call: string, to: PeerId): Omit<Signal, "step"> {
    const way = { from: this.#options.peerId, to, fromRelay: "", toRelay: "" };
    return { pack, call, ...way, signature: UNSIGNED };
  }

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

  /** Aborts when a call that begins now must stand or be over. */
  #limit(...signals: AbortSignal[]): AbortSignal {
    const late = AbortSignal.timeout(SETUP_MS_MAX);
    return AbortSignal.any([...signals, late, this.#closing.signal]);
  }
}

/** What each side says first on the data channel: that it took part in these very steps. */
function openingOf(call: string, nonce: string): string {
  return `${call} ${nonce}`;
}
