// A control plane for workers that says only what a test has it say: the generated server of
// WorkerService, which hands out the leases it is given and keeps what the worker says of each.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Server, ServerCredentials, type ServiceError, status } from "@grpc/grpc-js";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import {
  type AppendLogRequest,
  BuildLease,
  type CompleteRequest,
  type HeartbeatRequest,
  type LeaseResponse,
  WorkerServiceService,
} from "../../proto/gen/millrace/v1/workers.ts";
import { Wakes } from "./wakes.ts";

/** Longest wait of a test for one thing; only a failure takes it. */
const WAIT_MS_MAX = 60_000;

type Reply<Response> = (error: Partial<ServiceError> | null, response?: Response) => void;
interface Call<Request> {
  readonly request: Request;
  on(event: "cancelled", listener: () => void): void;
}

/** A lease that was given, and all that was said of it. */
export class GivenLease {
  readonly lease: BuildLease;
  readonly beats: HeartbeatRequest[] = [];
  readonly completions: CompleteRequest[] = [];
  readonly #log: Buffer[] = [];
  length = 0;
  isCancelled = false;
  isFenced = false;
  /** Refuses appends for good. */
  isLogClosed = false;
  /** Refuses a release for this. */
  releaseFault: string | undefined;
  /** So many appends are refused with UNAVAILABLE from now on. */
  logFaults = 0;
  /** So many are taken, and then answered with UNAVAILABLE: the worker has to repeat them. */
  lostAnswers = 0;

  constructor(lease: BuildLease) {
    this.lease = lease;
  }

  get text(): string {
    return Buffer.concat(this.#log).toString("utf8");
  }

  add(bytes: Buffer): void {
    this.#log.push(bytes);
    this.length += bytes.length;
  }

  get outcome(): NonNullable<CompleteRequest["outcome"]> {
    const outcome = this.completions.at(-1)?.outcome;
    assert.ok(outcome, `${this.lease.build} has no outcome; its log:\n${this.text}`);
    return outcome;
  }

  get release(): Release {
    const { outcome } = this;
    assert.ok(outcome.$case === "release", `${JSON.stringify(outcome)}; its log:\n${this.text}`);
    return outcome.release;
  }

  get failure(): { readonly reason: string; readonly message: string } {
    const { outcome } = this;
    assert.ok(outcome.$case === "failure", `${JSON.stringify(outcome)}; its log:\n${this.text}`);
    return outcome.failure;
  }
}

/** The scripted queue; it can go away and come back on the same port. */
export class WorkerQueue {
  readonly given: GivenLease[] = [];
  readonly #waiting: GivenLease[] = [];
  readonly #asking = new Set<Reply<LeaseResponse>>();
  readonly #wakes = new Wakes();
  #server: Server | undefined;
  port = 0;
  /** What GetBase answers, newest first. */
  base: Release[] = [];

  /** Listens, the first time on a free port. */
  async open(): Promise<void> {
    const server = new Server();
    server.addService(WorkerServiceService, {
      lease: (call: Call<unknown>, reply: Reply<LeaseResponse>) => this.#lease(call, reply),
      getBase: this.#answer(() => ({ base: this.base })),
      heartbeat: this.#answer((given, request: HeartbeatRequest) => {
        given.beats.push(request);
        return { cancelled: given.isCancelled };
      }),
      appendLog: this.#answer((given, request: AppendLogRequest) => this.#append(given, request)),
      complete: this.#answer((given, request: CompleteRequest) => {
        if (given.releaseFault !== undefined && request.outcome?.$case === "release") {
          throw fault(status.FAILED_PRECONDITION, given.releaseFault);
        }
        given.completions.push(request);
        return {};
      }),
    });
    this.port = await new Promise((resolve, reject) => {
      const address = `127.0.0.1:${this.port}`;
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
    this.#server = server;
  }

  /** Goes away at once, as a killed process does. */
  close(): void {
    this.#asking.clear();
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  /** Queues a lease; what is left out gets a value that does not matter. */
  give(lease: Partial<BuildLease>): GivenLease {
    // Not counted: workers tell the processes of this machine apart by it.
    const build = `b-${randomBytes(8).toString("hex")}`;
    const full = { build, attempt: 1, heartbeatMs: 200, attemptTimeoutMs: 60_000, ...lease };
    const given = new GivenLease(BuildLease.fromPartial(full));
    this.given.push(given);
    this.#waiting.push(given);
    this.#hand();
    return given;
  }

  /** Waits until something is true; looks after each call that a worker makes. */
  async until(what: string, isTrue: () => boolean): Promise<void> {
    const deadline = performance.now() + WAIT_MS_MAX;
    while (!isTrue()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        const log = this.given.at(-1)?.text.slice(-2_000);
        assert.fail(`not ${what} in ${WAIT_MS_MAX} ms; log:\n${log}`);
      }
      await this.#wakes.next(leftMs);
    }
  }

  /** Waits until the worker has said how it ended. */
  async ended(given: GivenLease): Promise<GivenLease> {
    await this.until(`ended ${given.lease.build}`, () => given.completions.length > 0);
    return given;
  }

  /** Waits until the log holds the text. */
  async logged(given: GivenLease, text: string): Promise<void> {
    await this.until(`logged "${text}"`, () => given.text.includes(text));
  }

  #lease(call: Call<unknown>, reply: Reply<LeaseResponse>): void {
    this.#asking.add(reply);
    call.on("cancelled", () => this.#asking.delete(reply));
    this.#hand();
    this.#wakes.wake();
  }

  #hand(): void {
    for (const reply of this.#asking) {
      const given = this.#waiting.shift();
      if (given === undefined) return;
      this.#asking.delete(reply);
      reply(null, { lease: given.lease, retryAfterMs: 0 });
    }
  }

  #append(given: GivenLease, { offset, data }: AppendLogRequest) {
    if (given.logFaults > 0) {
      given.logFaults -= 1;
      throw fault(status.UNAVAILABLE, "the log is away");
    }
    if (given.isLogClosed) throw fault(status.RESOURCE_EXHAUSTED, "the log is full");
    if (offset > given.length) throw fault(status.FAILED_PRECONDITION, "bytes are missing");
    const fresh = data.subarray(given.length - offset);
    given.add(fresh);
    if (given.lostAnswers > 0) {
      given.lostAnswers -= 1;
      throw fault(status.UNAVAILABLE, "the answer is lost");
    }
    return { length: given.length };
  }

  #answer<Request extends { build: string; attempt: number }, Response>(
    answer: (given: GivenLease, request: Request) => Response,
  ) {
    return (call: Call<Request>, reply: Reply<Response>): void => {
      const { build, attempt } = call.request;
      const given = this.given.find((each) => each.lease.build === build);
      try {
        if (given === undefined) throw fault(status.NOT_FOUND, `no build ${build}`);
        if (given.isFenced || given.lease.attempt !== attempt) {
          throw fault(status.ABORTED, `attempt ${attempt} is not current`);
        }
        reply(null, answer(given, call.request));
      } catch (error) {
        reply(error as ServiceError);
      }
      this.#wakes.wake();
    };
  }
}

function fault(code: status, details: string): Error {
  return Object.assign(new Error(details), { code, details });
}
