// Runs one attempt to stage after the other for one service, each in a work folder of its own that is
// gone with it. What is staged, and when it is tried again, is the machine's decision.
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Input } from "../core/fleet/agent-facts.ts";
import { WireError } from "../core/release/wire-error.ts";
import type { Release } from "../proto/gen/millrace/v1/release_format.ts";
import type { BytesGot } from "../runtime/agent/wire.ts";
import { failpoint } from "../runtime/failpoint.ts";
import type { Log } from "../runtime/log.ts";
import { isStoreFull } from "../runtime/peer/piece-store.ts";
import { REVISION } from "../runtime/semantic-names.ts";
import { counter, inSpan } from "../runtime/telemetry.ts";
import { removeTree } from "./remove-tree.ts";
import type { RolloutBytes, ServiceFolder } from "./service-folder.ts";
import type { ReleaseFlush } from "./stage/release-flush.ts";
import { ReleaseFault, StagingAttempt, type StagingProgress } from "./stage/stage-release.ts";
import type { PackShelf } from "./swarm/pack-shelf.ts";

export interface ServiceStagerOptions {
  readonly service: string;
  readonly folder: ServiceFolder;
  readonly shelf: PackShelf;
  readonly flush: ReleaseFlush;
  /** Holds the work folders of this service. */
  readonly workRoot: string;
  readonly log: Log;
  readonly tell: (fact: Input) => void;
}

export interface StagingOrder {
  readonly record: Release;
  readonly rollout: string;
  /** Installed release to take chunks from. */
  readonly base: string | undefined;
  readonly traceparent: string;
}

const NONE: StagingProgress = { bytes: { relay: 0, peer: 0, local: 0 }, missingBytes: 0 };

export class ServiceStager {
  readonly #options: ServiceStagerOptions;
  #abort = new AbortController();
  #attempt: StagingAttempt | undefined;
  /** Of the attempt. */
  #rollout = "";
  #running: Promise<void> = Promise.resolve();
  #count = 0;
  readonly #staged = counter("millrace.agent.staged", "Bytes of releases, by source", "By");
  /** Of attempts that have ended. */
  #last: RolloutBytes;

  constructor(options: ServiceStagerOptions, got: RolloutBytes) {
    this.#options = options;
    this.#last = got;
  }

  /** How far the attempt under way is. */
  get progress(): StagingProgress {
    return this.#attempt?.progress ?? NONE;
  }

  /** Bytes got under a rollout, by the attempt under way and those before. */
  bytesOf(rollout: string): BytesGot {
    const before = this.#last.rollout === rollout ? this.#last.bytes : NONE.bytes;
    return this.#rollout === rollout ? sum(before, this.progress.bytes) : before;
  }

  get got(): RolloutBytes {
    return this.#last;
  }

  /** Deletes what attempts of an earlier life left. */
  async clean(): Promise<void> {
    mkdirSync(this.#options.workRoot, { recursive: true });
    for (const name of readdirSync(this.#options.workRoot)) {
      await removeTree(join(this.#options.workRoot, name));
    }
  }

  /** Begins an attempt, once the one before has ended. */
  begin(order: StagingOrder): void {
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const { release, sha } = order.record;
    this.#running = this.#running.then(() =>
      inSpan(
        "agent.stage",
        { parent: order.traceparent, attributes: { "millrace.release": release, [REVISION]: sha } },
        () => this.#run(order, signal),
      ),
    );
  }

  /** Gives the attempt up; nothing is told of it. */
  giveUp(): void {
    this.#abort.abort(new Error("staging was given up"));
  }

  /** Gives it up and waits until it has ended. */
  async stop(): Promise<void> {
    this.giveUp();
    await this.#running;
  }

  async #run({ record, base, rollout }: StagingOrder, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { service, folder, shelf, log, tell } = this.#options;
    const { release } = record;
    this.#count += 1;
    const workFolder = join(this.#options.workRoot, `${this.#count}`);
    const beganAt = performance.now();
    try {
      mkdirSync(workFolder, { recursive: true });
      folder.writeRecord(record);
      const fetched = (): void => tell({ kind: "staging", release, phase: "stage" });
      const adopting = (): void => this.#options.flush.begin(release);
      const options = { record, folder, shelf, workFolder, base, signal, fetched, adopting };
      this.#attempt = new StagingAttempt(options);
      this.#rollout = rollout;
      await this.#attempt.run();
      this.#ended(rollout);
      const ms = Math.round(performance.now() - beganAt);
      log.info({ service, release, ms, ...this.#last.bytes }, "release staged");
      failpoint("agent.after-stage");
      tell({ kind: "staged", release });
    } catch (error) {
      this.#ended(rollout);
      if (!signal.aborted) await this.#failed(record, error as Error);
    } finally {
      await removeTree(workFolder).catch((error: unknown) => {
        log.warn({ service, err: error }, "work folder not deleted");
      });
    }
  }

  /** Bytes of an attempt that failed count too: what it got need not be got again. */
  #ended(rollout: string): void {
    const bytes = this.#attempt?.settle() ?? NONE.bytes;
    this.#attempt = undefined;
    for (const source of ["relay", "peer", "local"] as const) {
      this.#staged.add(bytes[source], { source });
    }
    const before = this.#last.rollout === rollout ? this.#last.bytes : NONE.bytes;
    this.#last = { rollout, bytes: sum(before, bytes) };
  }

  async #failed({ release, layout }: Release, error: Error): Promise<void> {
    const { service, shelf, log, tell } = this.#options;
    const hopeless = error instanceof ReleaseFault || error instanceof WireError;
    log.warn({ service, release, err: error, hopeless }, "staging failed");
    if (isStoreFull(error) || error.message.includes("no space left")) {
      await shelf.makeRoom(new Set(layout?.packs.map(({ pack }) => pack)));
    }
    tell({ kind: "staging-failed", release, error: error.message, hopeless });
  }
}

function sum(a: BytesGot, b: BytesGot): BytesGot {
  return { relay: a.relay + b.relay, peer: a.peer + b.peer, local: a.local + b.local };
}
