// Workers of a benchmark: they lease, heartbeat and complete builds over gRPC as the worker program does, and
// put a seal where it would put a pack.
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { type PackRef, Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { BuildLease } from "../../proto/gen/millrace/v1/workers.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { call } from "../../runtime/grpc/client.ts";
import {
  beat,
  type Clients,
  complete,
  logText,
  sealedRelease,
} from "../../test/integration/queue-system.ts";
import { whileAway } from "./while-away.ts";

/** Packs of the builds before that a release stands on; it may be seven. */
const PACKS_KEPT = 3;
/** How long a worker waits for work before it asks again. */
const WAIT_MS = 2_000;
/** Shares of a build's time after which its worker says the next phase. */
const PHASES = [
  [0, "fetch"],
  [0.05, "run"],
  [0.9, "pack"],
] as const;

/** What recipes say. */
const USUAL = {
  rollout: {
    waves: [{ percent: 100, bakeMs: 0 }],
    failuresPercent: 100,
    maxUnavailablePercent: 100,
  },
  activation: {
    exec: ["node", "server.js"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the agent that puts the port in.
    health: { http: "http://127.0.0.1:${PORT}/healthz", withinMs: 30_000 },
    drainMs: 10_000,
  },
};

export interface VirtualWorkersOptions {
  readonly plane: Clients;
  readonly origin: BlobStore;
  readonly count: number;
  /** Milliseconds that a worker's build takes; `nth` counts the builds of that worker. */
  readonly buildMs: (worker: number, nth: number) => number;
  /** Service of a repository. */
  readonly serviceOf: (repository: string) => string;
  readonly onEnded: (service: string, sha: string) => void;
}

/** Workers that run until they are stopped. */
export class VirtualWorkers {
  readonly #options: VirtualWorkersOptions;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  /** Packs of the newest release by service, its own first. */
  readonly #packs = new Map<string, PackRef[]>();
  /** Builds that a worker has right now. */
  busy = 0;

  constructor(options: VirtualWorkersOptions) {
    this.#options = options;
    const workers = Array.from({ length: options.count }, (_, index) => this.#work(index));
    this.#running = Promise.all(workers).then(() => {});
    this.#running.catch(() => {});
  }

  /** Leaves builds as they are; rejects with what a worker met before. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #work(index: number): Promise<void> {
    const { plane, buildMs } = this.#options;
    const { workers } = plane;
    const { signal } = this.#stopped;
    for (let nth = 0; !signal.aborted; ) {
      const request = { worker: `w${index}`, waitMs: WAIT_MS, version: "" };
      const ask = () => call(workers, workers.lease, request, { deadlineMs: 60_000 });
      const { lease } = await whileAway(ask);
      if (lease === undefined) continue;
      this.busy += 1;
      await this.#build(lease, buildMs(index, nth)).catch(unlessLost);
      this.busy -= 1;
      nth += 1;
    }
  }

  /** With what a release of a service has in its row: how it is activated, and packs of the builds before. */
  #asUsual(service: string, sealed: Release): Release {
    const packs = [
      ...(sealed.layout?.packs ?? []),
      ...(this.#packs.get(service) ?? []).slice(0, PACKS_KEPT),
    ];
    this.#packs.set(service, packs);
    const { rollout, activation } = USUAL;
    return Release.fromPartial({ ...sealed, layout: { version: 1, packs }, rollout, activation });
  }

  async #build(lease: BuildLease, takesMs: number): Promise<void> {
    const { plane, origin, serviceOf, onEnded } = this.#options;
    const { signal } = this.#stopped;
    const service = serviceOf(lease.repository);
    const startedAt = performance.now();
    const log = (offset: number, text: string): Promise<number> =>
      whileAway(() => logText(plane, lease, offset, text));
    const logged = await log(0, `building ${lease.sha}\n`);
    for (;;) {
      const spent = performance.now() - startedAt;
      const [, phase] = PHASES.findLast(([share]) => spent >= share * takesMs) ?? PHASES[0];
      const said = { phase, service, outputBytes: 7, packedBytes: 7 };
      await whileAway(() => beat(plane, lease, said));
      if (spent >= takesMs) break;
      await sleep(Math.min(lease.heartbeatMs, takesMs - spent), undefined, { signal }).catch(
        () => {},
      );
      if (signal.aborted) return;
    }
    await log(logged, "packed\n");
    const sealed = await sealedRelease({ origin }, lease, service);
    const release = this.#asUsual(service, sealed);
    await whileAway(() => complete(plane, lease, { $case: "release", release }));
    onEnded(service, lease.sha);
  }
}

/** Who was late has lost the build to another worker, and takes the next. */
function unlessLost(error: unknown): void {
  if ((error as { readonly code?: unknown }).code !== status.ABORTED) throw error;
}
