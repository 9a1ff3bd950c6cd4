// Keeps one lease: heartbeats with the progress of the attempt, at once where a segment was stored.
// A refusal (the attempt is not current any more), a cancel flag or the end of its time stops the attempt.
import { FETCH_PHASE } from "../core/builds/build-row.ts";
import type {
  BuildLease,
  HeartbeatRequest,
  WorkerServiceClient,
} from "../proto/gen/millrace/v1/workers.ts";
import { call } from "../runtime/grpc/client.ts";
import type { Log } from "../runtime/log.ts";
import { pause } from "../runtime/program/back-off.ts";
import { isFenced, serviceError } from "./patient-call.ts";

/** A changed progress is told so soon, so that relays fetch while the worker packs. */
const CHANGE_MS = 50;

/** A heartbeat without answer is given up after this time and sent again. */
const HEARTBEAT_MS_MAX = 4_000;

/** A lease that asks for more is not kept any better. */
const HEARTBEAT_MS_MIN = 200;

/** Why an attempt has to stop. */
export type StopReason = "cancelled" | "fenced" | "shutdown" | "time-up";

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
  readonly #limit: NodeJS.Timeout | undefined;
  #changed = new AbortController();
  #progress: Progress = {
    phase: FETCH_PHASE,
    service: "",
    segments: 0,
    outputBytes: 0,
    packedBytes: 0,
    targets: {},
  };

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    const { attemptTimeoutMs } = options.lease;
    if (attemptTimeoutMs > 0) {
      this.#limit = setTimeout(() => this.stop("time-up"), attemptTimeoutMs);
    }
    this.#beating = this.#beat();
  }

  /** Aborted, its reason a StopReason, when the attempt has to stop. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Why the attempt has to stop; undefined: it may go on. */
  get stopped(): StopReason | undefined {
    return this.#stop.signal.reason as StopReason | undefined;
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
    clearTimeout(this.#limit);
    this.#ended.abort();
    this.#changed.abort();
    await this.#beating;
  }

  async #beat(): Promise<void> {
    const { lease, log } = this.#options;
    const intervalMs = Math.max(HEARTBEAT_MS_MIN, lease.heartbeatMs);
    // Also while the attempt stops: until that has been told, the lease is to be kept.
    while (!this.#ended.signal.aborted && this.stopped !== "fenced") {
      this.#changed = new AbortController();
      try {
        await this.#send();
      } catch (error) {
        const { code, details } = serviceError(error);
        if (this.#ended.signal.aborted) return;
        if (isFenced(code)) {
          log.warn({ build: lease.build, attempt: lease.attempt, details }, "lease lost");
          this.stop("fenced");
          return;
        }
        log.warn({ build: lease.build, code, details }, "heartbeat failed, trying again");
      }
      await pause(intervalMs, this.#changed.signal);
      if (!this.#ended.signal.aborted) await pause(CHANGE_MS, this.#ended.signal);
    }
  }

  async #send(): Promise<void> {
    const { client, worker, lease } = this.#options;
    const { build, attempt } = lease;
    const request = { worker, build, attempt, ...this.#progress };
    const options = { deadlineMs: HEARTBEAT_MS_MAX, signal: this.#ended.signal };
    const answer = await call(client, client.heartbeat, request, options);
    if (answer.cancelled) this.stop("cancelled");
  }
}
