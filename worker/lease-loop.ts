// A worker's life: lease a build, do it, and again, until it is told to stop.
import { connectivityState } from "@grpc/grpc-js";
import { isPackId } from "../core/release/pack-id.ts";
import type { BuildLease, LeaseResponse } from "../proto/gen/millrace/v1/workers.ts";
import { failpoint } from "../runtime/failpoint.ts";
import { call } from "../runtime/grpc/client.ts";
import { BackOff, pause } from "../runtime/program/back-off.ts";
import { VERSION } from "../runtime/version.ts";
import { LeasedBuild, type LeasedBuildOptions } from "./leased-build.ts";
import { serviceError } from "./patient-call.ts";

/** How long one request for work waits at the control plane. */
const LEASE_WAIT_MS = 20_000;

/** What handing a build back may take, of the time to drain: the end of its log, and the word of it. */
const HAND_BACK_MS = 5_000;

/** Leases builds until `stop` is called. */
export class LeaseLoop {
  readonly #options: LeasedBuildOptions;
  readonly #stopping = new AbortController();
  #build: LeasedBuild | undefined;
  #trouble: string | undefined;

  constructor(options: LeasedBuildOptions) {
    this.#options = options;
  }

  /** Why no builds are to be had now; undefined: the control plane answers. */
  get trouble(): string | undefined {
    if (this.#trouble !== undefined) return this.#trouble;
    const state = this.#options.client.getChannel().getConnectivityState(false);
    return state === connectivityState.READY ? undefined : "it is not connected";
  }

  /** Takes no more builds; hands the running one back unless it ends within the time, milliseconds. */
  stop(drainMs: number): void {
    this.#stopping.abort();
    const build = this.#build;
    if (build === undefined) return;
    const finishMs = drainMs - HAND_BACK_MS;
    if (finishMs > 0) setTimeout(() => build.stop(), finishMs).unref();
    else build.stop();
  }

  /** Works until stopped. */
  async run(): Promise<void> {
    const { log } = this.#options;
    const backOff = new BackOff(100, 2_000);
    while (!this.#stopping.signal.aborted) {
      let lease: BuildLease | undefined;
      let retryAfterMs: number;
      try {
        ({ lease, retryAfterMs } = await this.#lease());
        this.#trouble = undefined;
      } catch (error) {
        const { code, details } = serviceError(error);
        if (this.#stopping.signal.aborted) return;
        this.#trouble = details;
        log.warn({ code, details }, "no lease, trying again");
        await backOff.wait(this.#stopping.signal);
        continue;
      }
      if (lease !== undefined && !isPackId(`${lease.build}.${lease.attempt}`)) {
        log.error({ build: lease.build, attempt: lease.attempt }, "refused a lease: no build's id");
        await backOff.wait(this.#stopping.signal);
        continue;
      }
      backOff.reset();
      if (lease !== undefined) await this.#work(lease);
      else await pause(retryAfterMs, this.#stopping.signal);
    }
  }

  async #lease(): Promise<LeaseResponse> {
    const { client, worker } = this.#options;
    const request = { worker, waitMs: LEASE_WAIT_MS, version: VERSION };
    const { signal } = this.#stopping;
    const options = { deadlineMs: LEASE_WAIT_MS + 5_000, signal, waitForReady: true };
    return call(client, client.lease, request, options);
  }

  async #work(lease: BuildLease): Promise<void> {
    failpoint("worker.after-lease");
    this.#build = new LeasedBuild(this.#options, lease);
    // It came in the moment that the worker was told to end.
    if (this.#stopping.signal.aborted) this.#build.stop();
    await this.#build.run();
    this.#build = undefined;
  }
}
