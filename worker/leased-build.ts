// One leased build from the lease to its end: a folder of its own, the heartbeats, the log, the attempt,
// and the word to the control plane of how it ended. Nothing it throws ends the worker.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ATTEMPT_TIME_UP, HANDED_BACK } from "../core/builds/build-transitions.ts";
import type { Release } from "../proto/gen/millrace/v1/release_format.ts";
import type {
  BuildLease,
  CompleteRequest,
  WorkerServiceClient,
} from "../proto/gen/millrace/v1/workers.ts";
import type { BlobStore } from "../runtime/blobs/blob-store.ts";
import { BlobFullError } from "../runtime/blobs/blob-store.ts";
import { failpoint } from "../runtime/failpoint.ts";
import { call } from "../runtime/grpc/client.ts";
import type { Log } from "../runtime/log.ts";
import { aboutBuild, WORKER_ID } from "../runtime/semantic-names.ts";
import { counter, inSpan, traceparentOf } from "../runtime/telemetry.ts";
import { AttemptError, runAttempt } from "./attempt.ts";
import { BuildLog } from "./build-log.ts";
import { LeaseKeeper, type StopReason } from "./lease-keeper.ts";
import { isFenced, TRY_MS_MAX, untilAnswered } from "./patient-call.ts";
import { removeTree } from "./remove-tree.ts";
import type { SourceMirrors } from "./source.ts";

/** How long the end of a log may take: 64 MiB in appends of 128 KiB, 100 ms each. */
const LOG_END_MS = 60_000;

/** The same where the attempt was stopped, and somebody waits for the worker. */
const LOG_END_STOPPED_MS = 2_000;

/** How long a worker that shuts down tries to hand its build back. */
const HAND_BACK_MS = 3_000;

/** The control plane keeps so much of a failure's message; the log has all of it. */
const MESSAGE_CHARACTERS_MAX = 4_000;

export interface LeasedBuildOptions {
  readonly client: WorkerServiceClient;
  readonly worker: string;
  /** Folder of the worker; builds, caches and records lie in folders of it. */
  readonly root: string;
  readonly mirrors: SourceMirrors;
  readonly origin: BlobStore;
  readonly threads: number;
  readonly log: Log;
}

type Outcome = NonNullable<CompleteRequest["outcome"]>;

/** A build that this worker has. */
export class LeasedBuild {
  readonly #options: LeasedBuildOptions;
  readonly #lease: BuildLease;
  readonly #keeper: LeaseKeeper;
  readonly #folder: string;
  /** Aborted: nobody is to be told any more how it ended. */
  readonly #untold = new AbortController();

  constructor(options: LeasedBuildOptions, lease: BuildLease) {
    const { client, worker, root, log } = options;
    this.#options = options;
    this.#lease = lease;
    this.#folder = join(root, "builds", `${lease.build}.${lease.attempt}`);
    this.#keeper = new LeaseKeeper({ client, worker, lease, log });
    this.#keeper.signal.addEventListener("abort", () => {
      if (this.#keeper.stopped === "fenced") this.#untold.abort();
    });
  }

  /** Stops it and hands it back: another worker gets it at once. */
  stop(): void {
    this.#keeper.stop("shutdown");
    setTimeout(() => this.#untold.abort(), LOG_END_STOPPED_MS + HAND_BACK_MS).unref();
  }

  /** Does it and tells how it ended; what it wrote on this machine is gone afterwards. */
  async run(): Promise<void> {
    const { log } = this.#options;
    const { build, attempt, repository, sha, traceparent } = this.#lease;
    log.info({ build, attempt, repository, sha }, "build leased");
    const attributes = {
      ...aboutBuild(build, this.#lease.service, sha),
      [WORKER_ID]: this.#options.worker,
      "millrace.attempt": attempt,
    };
    const outcome = await inSpan("build.attempt", { parent: traceparent, attributes }, (span) =>
      this.#outcome(traceparentOf(span)),
    );
    if (outcome !== undefined) await this.#complete(outcome);
    failpoint("worker.after-complete");
    await this.#keeper.end();
    const end = outcome?.$case ?? "fenced";
    log.info({ build, attempt, end }, "attempt ended");
    measure(end, outcome?.$case === "release" ? outcome.release : undefined);
    try {
      await removeTree(this.#folder);
    } catch (error) {
      log.error({ err: error }, "cannot remove the folder of a build");
    }
  }

  /** Undefined: the attempt is not ours any more, nobody is to be told. */
  async #outcome(traceparent: string): Promise<Outcome | undefined> {
    let buildLog: BuildLog;
    try {
      await removeTree(this.#folder);
      await mkdir(this.#folder, { recursive: true });
      buildLog = new BuildLog(join(this.#folder, "log"), (offset, data, signal) =>
        this.#append(offset, data, signal),
      );
    } catch (error) {
      return this.#failed(error);
    }
    const outcome = await this.#attempt(buildLog, traceparent);
    if (outcome?.$case === "failure") {
      buildLog.line(`failed (${outcome.failure.reason}): ${outcome.failure.message}`);
    }
    const isStopped = this.#keeper.stopped !== undefined;
    await buildLog.close(isStopped ? LOG_END_STOPPED_MS : LOG_END_MS);
    return outcome;
  }

  async #attempt(buildLog: BuildLog, traceparent: string): Promise<Outcome | undefined> {
    const { root, log } = this.#options;
    try {
      const release = await runAttempt({
        ...this.#options,
        lease: this.#lease,
        traceparent,
        keeper: this.#keeper,
        log: buildLog,
        programLog: log,
        folder: this.#folder,
        home: join(root, "home"),
        groups: join(root, "groups"),
        cache: join(root, "bases"),
      });
      return this.#keeper.stopped === "fenced" ? undefined : { $case: "release", release };
    } catch (error) {
      const { stopped } = this.#keeper;
      return stopped === undefined ? this.#failed(error) : outcomeOfStop(stopped);
    }
  }

  #failed(error: unknown): Outcome {
    const { reason, message } =
      error instanceof AttemptError
        ? error
        : { reason: "worker", message: workerFault(error as NodeJS.ErrnoException) };
    if (reason === "worker") {
      this.#options.log.error({ err: error, build: this.#lease.build }, "attempt failed here");
    }
    return failure(reason, message);
  }

  async #append(offset: number, data: Buffer, signal: AbortSignal): Promise<number | undefined> {
    const { client, worker, log } = this.#options;
    const { build, attempt } = this.#lease;
    const request = { worker, build, attempt, offset, data };
    const gone = AbortSignal.any([signal, this.#untold.signal]);
    const options = { deadlineMs: TRY_MS_MAX, signal: gone, waitForReady: true };
    const answer = await untilAnswered(
      () => call(client, client.appendLog, request, options),
      gone,
    );
    if (answer.kind === "answered") return answer.response.length;
    if (answer.kind === "refused") {
      log.warn({ build, attempt, ...answer }, "log refused");
      if (isFenced(answer.code)) this.#keeper.stop("fenced");
    }
    return undefined;
  }

  async #complete(outcome: Outcome): Promise<void> {
    const { client, worker, log } = this.#options;
    const { build, attempt } = this.#lease;
    failpoint("worker.before-complete");
    const request = { worker, build, attempt, outcome };
    const { signal } = this.#untold;
    const options = { deadlineMs: TRY_MS_MAX, signal, waitForReady: true };
    const answer = await untilAnswered(
      () => call(client, client.complete, request, options),
      signal,
    );
    if (answer.kind !== "refused") return;
    log.warn({ build, attempt, ...answer }, "end of the attempt refused");
    if (isFenced(answer.code) || outcome.$case !== "release") return;
    // Refused for what it is: tried again it would be again, so the build has failed.
    const message = `the control plane refused the release: ${answer.details}`;
    await this.#complete(failure("worker", message));
  }
}

function measure(end: string, release: Release | undefined): void {
  counter("millrace.worker.attempts", "Attempts ended, by outcome", "{attempt}").add(1, { end });
  if (release === undefined) return;
  counter("millrace.worker.output", "Plain bytes of releases", "By").add(release.bytes);
  counter("millrace.worker.packed", "New encoded bytes of releases", "By").add(release.packedBytes);
}

function outcomeOfStop(reason: StopReason): Outcome | undefined {
  switch (reason) {
    case "fenced":
      return undefined;
    case "cancelled":
      return { $case: "cancelled", cancelled: true };
    case "shutdown":
      return failure(HANDED_BACK, "the worker shuts down");
    case "time-up":
      // The control plane knows which of its limits it was, and says so.
      return failure(ATTEMPT_TIME_UP, "");
    default:
      return reason satisfies never;
  }
}

function failure(reason: string, message: string): Outcome {
  const short = message.slice(0, MESSAGE_CHARACTERS_MAX);
  return { $case: "failure", failure: { reason, message: short } };
}

/** What went wrong on this machine, with what to do where that is known. */
function workerFault(error: NodeJS.ErrnoException): string {
  if (error instanceof BlobFullError) return `the origin is full: ${error.message}`;
  if (error.code === "ENOSPC" || error.code === "EDQUOT") {
    return `the worker's disk is full (${error.message}); free space under its --root`;
  }
  return `the worker could not do it: ${error.message}`;
}
