// Brings the past into the archive, while this replica leads: ended builds, ended rollouts and releases that
// nobody keeps are archived, read back, and only then deleted from the store, each transaction under the leader's
// epoch. Killed at any point it leaves rows in the store, in the archive or in both, never in neither; the next
// sweep goes on. A segment that was stored before is found stored, because equal rows have an equal name.
import { setTimeout as sleep } from "node:timers/promises";
import {
  type ArchiveKind,
  SEGMENT_BYTES_MAX,
  SEGMENT_ROWS_MAX,
  segmentsOf,
} from "../../core/history/archive-plan.ts";
import { DAY_MS } from "../../core/history/calendar.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store, Transaction } from "../../runtime/store/store.ts";
import { transactionBytes } from "../../runtime/store/store-limits.ts";
import { transactionsOf } from "../../runtime/store/transaction-parts.ts";
import { type Fence, FenceLostError, isFenced } from "../fence.ts";
import type { KeptNow } from "../garbage/kept-now.ts";
import type { Archive } from "./archive.ts";
import { coldBuilds } from "./cold-builds.ts";
import { coldReleases } from "./cold-releases.ts";
import { coldRollouts } from "./cold-rollouts.ts";
import type { ColdRow } from "./cold-row.ts";
import { type OldRow, oldDedupRows } from "./old-dedup.ts";

/** Sweeps within the time that rows stay; a week's come each 5 min, with some 35 builds of 5,000 a day. */
const SWEEPS_IN_HOT = 2_000;
const SWEEP_MS_MIN = 1_000;
const SWEEP_MS_MAX = 5 * 60_000;
/**
 * Which releases are kept is asked when a build or a rollout has been archived, because that may let go of one, and so
 * often in any case, because machines may too: it reads all releases, and asks all relays.
 */
const RELEASES_MS = 5 * 60_000;
/** Between two transactions: ten a second of the fifty that the store is to have at most. */
const PAUSE_MS = 100;

export interface ArchivistOptions {
  readonly store: Store;
  readonly archive: Archive;
  readonly fence: Fence;
  /** Ended rows stay so long, milliseconds. */
  readonly hotMs: number;
  /** Which releases are kept; undefined: not known now. */
  readonly readKept: () => Promise<KeptNow | undefined>;
  readonly log: Log;
  /** Another control plane has taken over; this one decides no more. */
  readonly onFenceLost: () => void;
}

/** The archivist of one leader. */
export class Archivist {
  readonly #options: ArchivistOptions;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  #releasesAt = Number.NEGATIVE_INFINITY;
  #forgottenAt = Number.NEGATIVE_INFINITY;

  /** Begins to sweep. */
  constructor(options: ArchivistOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Ends it and waits for the write that is under way. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { hotMs, log, onFenceLost } = this.#options;
    const sweepMs = Math.min(SWEEP_MS_MAX, Math.max(SWEEP_MS_MIN, hotMs / SWEEPS_IN_HOT));
    while (!this.#isStopped) {
      try {
        await this.#sweep();
      } catch (error) {
        if (error instanceof FenceLostError) return onFenceLost();
        if (!this.#isStopped) log.warn({ err: error }, "history could not be archived yet");
      }
      await this.#pause(sweepMs);
    }
  }

  async #sweep(): Promise<void> {
    const { store, hotMs } = this.#options;
    const nowMs = Date.now();
    const builds = await this.#shelve("builds", coldBuilds(store, nowMs, hotMs));
    const rollouts = await this.#shelve("rollouts", coldRollouts(store, nowMs, hotMs));
    if (builds + rollouts > 0) this.#releasesAt = Number.NEGATIVE_INFINITY;
    if (nowMs >= this.#releasesAt + RELEASES_MS) await this.#shelveReleases(nowMs);
    if (nowMs < this.#forgottenAt + DAY_MS) return;
    await this.#forget(nowMs);
    this.#forgottenAt = nowMs;
  }

  async #shelveReleases(nowMs: number): Promise<void> {
    const { store, hotMs, readKept } = this.#options;
    const kept = await readKept();
    if (kept === undefined) return;
    await this.#shelve("releases", coldReleases(store, nowMs, hotMs, kept));
    this.#releasesAt = nowMs;
  }

  /** Archives rows; how many there were. */
  async #shelve(kind: ArchiveKind, rows: AsyncIterable<ColdRow>): Promise<number> {
    let count = 0;
    let batch: ColdRow[] = [];
    let bytes = 0;
    for await (const row of rows) {
      if (this.#isStopped) return count;
      count += 1;
      batch.push(row);
      bytes += row.bytes;
      if (batch.length < SEGMENT_ROWS_MAX && bytes < SEGMENT_BYTES_MAX) continue;
      await this.#archive(kind, batch);
      batch = [];
      bytes = 0;
    }
    await this.#archive(kind, batch);
    return count;
  }

  async #archive(kind: ArchiveKind, rows: readonly ColdRow[]): Promise<void> {
    const { archive, log } = this.#options;
    for (const segment of segmentsOf(rows)) {
      if (this.#isStopped) return;
      failpoint("controlplane.before-archive");
      const { key } = await archive.add(kind, segment);
      failpoint("controlplane.after-archive");
      await this.#deleteAll(segment);
      log.info({ segment: key, count: segment.length }, "archived what has ended");
    }
  }

  async #forget(nowMs: number): Promise<void> {
    let batch: OldRow[] = [];
    for await (const row of oldDedupRows(this.#options.store, nowMs)) {
      if (this.#isStopped) return;
      batch.push(row);
      if (batch.length < SEGMENT_ROWS_MAX) continue;
      await this.#deleteAll(batch);
      batch = [];
    }
    await this.#deleteAll(batch);
  }

  async #deleteAll(rows: readonly OldRow[]): Promise<void> {
    const parts = rows.map((row) => ({
      row,
      operations: row.compares.length + row.operations.length,
      bytes: transactionBytes(row),
    }));
    for (const group of transactionsOf(parts)) {
      if (this.#isStopped) return;
      await this.#delete(group.map(({ row }) => row));
      failpoint("controlplane.after-archive-txn");
      await this.#pause(PAUSE_MS);
    }
  }

  /** One that changed meanwhile stays where it is, and comes again in a later sweep. */
  async #delete(rows: readonly OldRow[]): Promise<void> {
    const { store, fence } = this.#options;
    const transaction: Transaction = {
      compares: [fence.compare, ...rows.flatMap(({ compares }) => compares)],
      operations: rows.flatMap(({ operations }) => operations),
    };
    const result = await store.transact(transaction);
    if (result.committed) return;
    if (isFenced(fence, result.current[0])) throw new FenceLostError();
    if (rows.length > 1) for (const row of rows) await this.#delete([row]);
  }

  get #isStopped(): boolean {
    return this.#stopped.signal.aborted || !this.#options.fence.holds();
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stopped.signal, ref: false }).catch(() => {});
  }
}
