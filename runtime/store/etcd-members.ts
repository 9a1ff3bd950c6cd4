// The members of an etcd cluster and how they are called: all through one of them until it fails, then the
// next. etcd3 carries the calls and does nothing else: its own retries would repeat a transaction whose
// outcome is unknown, and its choice of a host at random goes on choosing a dead one.
import { setTimeout as sleep } from "node:timers/promises";
import { type CallOptions, InterceptingCall, type Interceptor } from "@grpc/grpc-js";
import { noop } from "cockatiel";
import { Etcd3, type IOptions } from "etcd3";
import { type Backoff, backoffMs } from "../../core/fleet/agent-backoff.ts";
import type { EtcdAddress } from "./etcd-address.ts";
import { type EtcdCallError, toCallError } from "./etcd-failures.ts";
import { StoreUnavailableError } from "./store-errors.ts";

/** One try: etcd writes within some 10 ms, and a leader that died is replaced within 1 to 2 s. */
const TRY_MS = 3000;
/** All tries of a call: an election of etcd and the loss of two members in a row are ridden out. */
export const CALL_MS = 10_000;
/** Between two tries, with full jitter: the first finds another member, the last an election over. */
export const RETRY_BACKOFF: Backoff = { firstMs: 50, mostMs: 1000 };
/** An answer: a page is asked for in steps of 1 MiB at most by estimate, and an entry is up to 1 MiB. */
const ANSWER_BYTES_MAX = 8 << 20;

/** One request to one member. */
export type EtcdCall<Answer> = (client: Etcd3, options: CallOptions) => Promise<Answer>;

/** Makes a member that has lost its leader refuse at once and end its watches, instead of waiting. */
const requireLeader: Interceptor = (options, nextCall) =>
  new InterceptingCall(nextCall(options), {
    start: (metadata, listener, next) => {
      metadata.set("hasleader", "true");
      next(metadata, listener);
    },
  });

/** The members of one cluster. */
export class EtcdMembers {
  readonly #clients: readonly Etcd3[];
  readonly #name: string;
  #current: number;

  constructor({ hosts, tls, user }: EtcdAddress) {
    this.#name = hosts.join(",");
    this.#clients = hosts.map((host) => new Etcd3(clientOptions(host, tls, user)));
    this.#current = Math.floor(Math.random() * hosts.length);
  }

  /** The member that calls go to. */
  get current(): Etcd3 {
    return this.#clients[this.#current] as Etcd3;
  }

  /** Turns to the next member, unless that has happened since `client` was chosen. */
  leave(client: Etcd3): void {
    if (this.current === client) this.#current = (this.#current + 1) % this.#clients.length;
  }

  /** Options of a stream: no deadline, but the member must have a leader. */
  get streamOptions(): CallOptions {
    return { interceptors: [requireLeader] };
  }

  /** One try; rejects with EtcdCallError, and turns to the next member unless this one refused. */
  async once<Answer>(call: EtcdCall<Answer>, tryMs = TRY_MS): Promise<Answer> {
    const client = this.current;
    try {
      return await call(client, { ...this.streamOptions, deadline: Date.now() + tryMs });
    } catch (cause) {
      const error = toCallError(cause);
      if (error.failure.kind !== "refused") this.leave(client);
      throw error;
    }
  }

  /**
   * Tries a call that may happen twice, for CALL_MS; rejects with EtcdCallError when etcd refuses it, and
   * with StoreUnavailableError when no try came through.
   */
  async ask<Answer>(call: EtcdCall<Answer>, tryMs = TRY_MS): Promise<Answer> {
    const retries = new Retries(this.#name);
    while (true) {
      try {
        return await this.once(call, tryMs);
      } catch (cause) {
        const error = toCallError(cause);
        if (error.failure.kind === "refused") throw error;
        await retries.next(error);
      }
    }
  }

  /** Asks each member by itself, once. */
  async each<Answer>(
    ask: (client: Etcd3) => Promise<Answer>,
  ): Promise<{ readonly address: string; readonly outcome: PromiseSettledResult<Answer> }[]> {
    const outcomes = await Promise.allSettled(this.#clients.map((client) => ask(client)));
    const addresses = this.#name.split(",");
    return outcomes.map((outcome, index) => ({ address: addresses[index] as string, outcome }));
  }

  /** How one call is tried again, for CALL_MS from now. */
  retries(): Retries {
    return new Retries(this.#name);
  }

  /** Ends all connections. */
  close(): void {
    for (const client of this.#clients) client.close();
  }
}

/** The tries of one call: counts them, spaces them, and ends them. */
export class Retries {
  readonly #name: string;
  readonly #endMs = performance.now() + CALL_MS;
  #failures = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** Waits before the next try; rejects with StoreUnavailableError when there is no time for one. */
  async next(error: EtcdCallError): Promise<void> {
    this.#failures += 1;
    const waitMs = Math.random() * backoffMs(RETRY_BACKOFF, this.#failures);
    if (performance.now() + waitMs > this.#endMs) {
      throw new StoreUnavailableError(
        `etcd at ${this.#name} did not answer ${this.#failures} tries in ${CALL_MS} ms: ${error.message}`,
        { cause: error },
      );
    }
    await sleep(waitMs);
  }
}

function clientOptions(host: string, tls: EtcdAddress["tls"], user: EtcdAddress["user"]): IOptions {
  return {
    hosts: `${tls ? "https" : "http"}://${host}`,
    ...(tls && { credentials: tls }),
    ...(user && {
      auth: { ...user, callOptions: () => ({ deadline: Date.now() + TRY_MS }) },
    }),
    faultHandling: { host: () => noop, global: noop },
    grpcOptions: {
      "grpc.max_receive_message_length": ANSWER_BYTES_MAX,
      "grpc.service_config_disable_resolution": 1,
      // A peer that is gone without a word: etcd takes pings every 5 s at most.
      "grpc.keepalive_time_ms": 6000,
      "grpc.keepalive_timeout_ms": TRY_MS,
    },
  };
}
