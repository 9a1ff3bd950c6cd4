// A worker's life: lease a build, do it, and again, until it is told to stop.
import { isPackId } from "../core/release/pack-id.ts";
import type { BuildLease } from "../proto/gen/millrace/v1/workers.ts";
import { failpoint } from "../runtime/failpoint.ts";
import { call } from "../runtime/grpc/client.ts";
import { BackOff } from "../runtime/program/back-off.ts";
import { VERSION } from "../runtime/version.ts";
import { LeasedBuild, type LeasedBuildOptions } from "./leased-build.ts";
import { serviceError } from "./patient-call.ts";

/** How long one request for work waits at the control plane. */
const LEASE_WAIT_MS = 20_000;

/** Leases builds until `stop` is called. */
export class LeaseLoop {
  readonly #options: LeasedBuildOptions;
  readonly #stopping = new AbortController();
  #build: LeasedBuild | undefined;

  constructor(options: LeasedBuildOptions) {
    this.#options = options;
  }

  /** Takes no more builds; hands the running one back. */
  stop(): void {
    this.#stopping.abort();
    this.#build?.stop();
  }

  /** Works until stopped. */
  async run(): Promise<void> {
    const { log } = this.#options;
    const backOff = new BackOff(100, 2_000);
    while (!this.#stopping.signal.aborted) {
      let lease: BuildLease | undefined;
      try {
        lease = await this.#lease();
      } catch (error) {
        const { code, details } = serviceError(error);
        if (this.#stopping.signal.aborted) return;
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
    }
  }

  async #lease(): Promise<BuildLease | undefined> {
    const { client, worker } = this.#options;
    const request = { worker, waitMs: LEASE_WAIT_MS, version: VERSION };
    const { signal } = this.#stopping;
    const options = { deadlineMs: LEASE_WAIT_MS + 5_000, signal, waitForReady: true };
    return (await call(client, client.lease, request, options)).lease;
  }

  async #work(lease: BuildLease): Promise<void> {
    failpoint("worker.after-lease");
    this.#build = new LeasedBuild(this.#options, lease);
    if (this.#stopping.signal.aborted) this.#build.stop();
    await this.#build.run();
    this.#build = undefined;
  }
}
