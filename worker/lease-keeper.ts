// Keeps one lease: heartbeats with the progress of the attempt, at once where a segment was stored.
// A refusal (the attempt is not current any more) or a cancel flag stops the attempt.
import { type ServiceError, status } from "@grpc/grpc-js";
import type {
  BuildLease,
  HeartbeatRequest,
  WorkerServiceClient,
} from "../proto/gen/millrace/v1/workers.ts";
import { call } from "../runtime/grpc/client.ts";
import type { Log } from "../runtime/log.ts";
import { pause } from "../runtime/program/back-off.ts";

/** A changed progress is told so soon, so that relays fetch while the worker packs. */
const CHANGE_MS = 50;

/** A heartbeat without answer is given up after this time and sent again. */
const HEARTBEAT_MS_MAX = 4_000;

/** Why an attempt has to stop. */
export type StopReason = "cancelled" | "fenced" | "shutdown";

export type Progress = Pick<
  HeartbeatRequest,
  "phase" | "service" | "segments" | "outputBytes" | "packedBytes" | "targets"
>;

export interface LeaseKeeperOptions {
  readonly client: WorkerServiceClient;
  readonly worker: string;
  readonly lease: BuildLease;
  readonly log: Log;
}

/** Heartbeats of one lease. */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #stop = new AbortController();
  readonly #ended = new AbortController();
  readonly #beating: Promise<void>;
  #changed = new AbortController();
  #progress: Progress = {
    phase: "fetch",
    service: "",
    segments: 0,
    outputBytes: 0,
    packedBytes: 0,
    targets: {},
  };

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#beating = this.#beat();
  }

  /** Aborted, its reason a StopReason, when the attempt has to stop. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Tells the control plane how far the attempt is, soon. */
  report(progress: Partial<Progress>): void {
    this.#progress = { ...this.#progress, ...progress };
    this.#changed.abort();
  }

  /** Has the attempt stop. */
  stop(reason: StopReason): void {
    this.#stop.abort(reason);
  }

  /** Ends the heartbeats. */
  async end(): Promise<void> {
    this.#ended.abort();
    this.#changed.abort();
    await this.#beating;
  }

  async #beat(): Promise<void> {
    const { lease, log } = this.#options;
    while (!this.#ended.signal.aborted && !this.#stop.signal.aborted) {
      this.#changed = new AbortController();
      try {
        await this.#send();
      } catch (error) {
        const { code, details } = error as ServiceError;
        if (code === status.ABORTED || code === status.NOT_FOUND) {
          log.warn({ build: lease.build, attempt: lease.attempt, details }, "lease lost");
          this.stop("fenced");
          return;
        }
        log.warn({ build: lease.build, code, details }, "heartbeat failed, trying again");
      }
      await pause(lease.heartbeatMs, this.#changed.signal);
      if (!this.#ended.signal.aborted) await pause(CHANGE_MS, this.#ended.signal);
    }
  }

  async #send(): Promise<void> {
    const { client, worker, lease } = this.#options;
    const { build, attempt } = lease;
    const request = { worker, build, attempt, ...this.#progress };
    const options = { deadlineMs: HEARTBEAT_MS_MAX };
    const answer = await call(client, client.heartbeat, request, options);
    if (answer.cancelled) this.stop("cancelled");
  }
}
