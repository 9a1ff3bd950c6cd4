// A worker's life: lease a build, do it, say how it ended, and again.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type ServiceError, status } from "@grpc/grpc-js";
import type {
  BuildLease,
  CompleteRequest,
  WorkerServiceClient,
} from "../proto/gen/millrace/v1/workers.ts";
import type { BlobStore } from "../runtime/blobs/blob-store.ts";
import { call } from "../runtime/grpc/client.ts";
import type { Log } from "../runtime/log.ts";
import { BackOff } from "../runtime/program/back-off.ts";
import { counter, inSpan } from "../runtime/telemetry.ts";
import { VERSION } from "../runtime/version.ts";
import { AttemptError, runAttempt } from "./attempt.ts";
import { BuildLog } from "./build-log.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import { SourceMirrors } from "./source.ts";

/** How long one request for work waits at the control plane. */
const LEASE_WAIT_MS = 20_000;

/** How long the log's end may take to be sent before the end of the build is told. */
const LOG_END_MS = 10_000;

export interface LeaseLoopOptions {
  readonly client: WorkerServiceClient;
  readonly worker: string;
  readonly root: string;
  readonly origin: BlobStore;
  readonly threads: number;
  readonly log: Log;
}

type Outcome = NonNullable<CompleteRequest["outcome"]>;

/** Leases builds until `stop` is called. */
export class LeaseLoop {
  readonly #options: LeaseLoopOptions;
  readonly #mirrors: SourceMirrors;
  readonly #stopping = new AbortController();
  readonly #builds = counter("millrace.worker.builds", "Attempts ended, by outcome", "{attempt}");
  #keeper: LeaseKeeper | undefined;

  constructor(options: LeaseLoopOptions) {
    this.#options = options;
    this.#mirrors = new SourceMirrors(join(options.root, "mirrors"));
  }

  /** Takes no more builds; hands the running one back. */
  stop(): void {
    this.#stopping.abort();
    this.#keeper?.stop("shutdown");
  }

  /** Works until stopped. */
  async run(): Promise<void> {
    const backOff = new BackOff(100, 2_000);
    while (!this.#stopping.signal.aborted) {
      try {
        const lease = await this.#lease();
        backOff.reset();
        if (lease !== undefined) await this.#work(lease);
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        const { code, details } = error as ServiceError;
        if (code === undefined) throw error;
        this.#options.log.warn({ code, details }, "no lease, trying again");
        await backOff.wait(this.#stopping.signal);
      }
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
    const { client, worker, root, log } = this.#options;
    const { build, attempt } = lease;
    log.info({ build, attempt, repository: lease.repository, sha: lease.sha }, "build leased");
    const folder = join(root, "builds", `${build}.${attempt}`);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const keeper = new LeaseKeeper({ client, worker, lease, log });
    this.#keeper = keeper;
    if (this.#stopping.signal.aborted) keeper.stop("shutdown");
    const buildLog = new BuildLog(join(folder, "log"), (offset, data) =>
      this.#append(lease, keeper.signal, offset, data),
    );
    const parent = lease.traceparent;
    const attributes = { "cicd.pipeline.run.id": build, "millrace.attempt": attempt };
    const outcome = await inSpan("build.attempt", { parent, attributes }, () =>
      this.#attempt(lease, keeper, buildLog, folder),
    );
    await buildLog.close(LOG_END_MS);
    if (outcome !== undefined) await this.#complete(lease, outcome);
    await keeper.end();
    this.#keeper = undefined;
    this.#builds.add(1, { outcome: outcome?.$case ?? "fenced" });
    await rm(folder, { recursive: true, force: true });
  }

  /** Undefined: the attempt is not ours any more, nobody is to be told. */
  async #attempt(
    lease: BuildLease,
    keeper: LeaseKeeper,
    buildLog: BuildLog,
    folder: string,
  ): Promise<Outcome | undefined> {
    const { client, worker, root, origin, threads, log } = this.#options;
    try {
      const release = await runAttempt({
        lease,
        keeper,
        log: buildLog,
        programLog: log,
        client,
        worker,
        mirrors: this.#mirrors,
        origin,
        threads,
        folder,
        home: join(root, "home"),
        groups: join(root, "groups"),
        cache: join(root, "bases"),
      });
      return { $case: "release", release };
    } catch (error) {
      if (keeper.signal.aborted) {
        // At a shutdown the lease is left to run out: the build goes to another worker.
        return keeper.signal.reason === "cancelled"
          ? { $case: "cancelled", cancelled: true }
          : undefined;
      }
      if (!(error instanceof AttemptError)) {
        log.error({ err: error, build: lease.build }, "attempt failed unexpectedly");
      }
      const reason = error instanceof AttemptError ? error.reason : "worker";
      const message = (error as Error).message;
      buildLog.line(`failed (${reason}): ${message}`);
      return { $case: "failure", failure: { reason, message } };
    }
  }

  async #append(
    lease: BuildLease,
    signal: AbortSignal,
    offset: number,
    data: Buffer,
  ): Promise<number | undefined> {
    const { client, worker } = this.#options;
    const request = { worker, build: lease.build, attempt: lease.attempt, offset, data };
    const answer = await this.#untilAnswered(lease, () =>
      call(client, client.appendLog, request, { waitForReady: true }),
    );
    return signal.aborted && signal.reason === "fenced" ? undefined : answer?.length;
  }

  async #complete(lease: BuildLease, outcome: Outcome): Promise<void> {
    const { client, worker } = this.#options;
    const { build, attempt } = lease;
    await this.#untilAnswered(lease, () =>
      call(client, client.complete, { worker, build, attempt, outcome }, { waitForReady: true }),
    );
  }

  /** Repeats a call until it is answered; undefined where the attempt is not current any more. */
  async #untilAnswered<Answer>(
    lease: BuildLease,
    send: () => Promise<Answer>,
  ): Promise<Answer | undefined> {
    const backOff = new BackOff(100, 2_000);
    for (;;) {
      try {
        return await send();
      } catch (error) {
        const { code, details } = error as ServiceError;
        if (code === undefined) throw error;
        const isTransient = code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED;
        if (!isTransient) {
          this.#options.log.warn({ build: lease.build, code, details }, "refused");
          return undefined;
        }
        await backOff.wait(this.#stopping.signal);
        if (this.#stopping.signal.aborted) return undefined;
      }
    }
  }
}
