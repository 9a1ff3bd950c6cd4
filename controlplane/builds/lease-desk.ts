// Hands queued builds to workers that ask: oldest first, one worker each; who asks at the same time takes
// another build. Who finds none waits here, and is woken by the row of the next one.
import { attemptMsOf, type BuildLimits } from "../../core/builds/build-limits.ts";
import type { BuildRow, LeasedBuild } from "../../core/builds/build-row.ts";
import { complete, HANDED_BACK, lease } from "../../core/builds/build-transitions.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import { RANGE_ENTRIES_MAX } from "../../runtime/store/store-limits.ts";
import type { BuildTable } from "./build-table.ts";
import { Follower, type LiveBuilds } from "./live-builds.ts";

/** Longest wait for work, so that a dead connection does not hold a waiter for ever. */
const WAIT_MS_MAX = 30_000;
/** Queued builds looked at for one worker; those passed over could not end in time any more. */
const LOOKED_AT_MAX = 100;

export interface LeaseDeskOptions {
  readonly table: BuildTable;
  readonly live: LiveBuilds;
  readonly limits: BuildLimits;
  /** What is left of a build's overall limit, as the sweeper counts; undefined: it does not know. */
  readonly overallLeftMs: (build: string) => number | undefined;
}

/** Where workers get their builds. */
export class LeaseDesk {
  readonly #options: LeaseDeskOptions;
  readonly #waiting = new Set<Follower>();
  /** Queued builds that were read and not taken yet, the oldest first, while somebody takes. */
  #found: string[] = [];
  readonly #underWay = new Set<string>();
  #looking: Promise<readonly string[]> | undefined;
  #takers = 0;

  constructor(options: LeaseDeskOptions) {
    this.#options = options;
    options.live.onRow((row) => {
      if (row.state === "queued") for (const waiter of this.#waiting) waiter.mark();
    });
  }

  /** A build, or undefined where none came within `waitMs` or the worker has gone. */
  async lease(worker: string, waitMs: number, gone: AbortSignal): Promise<LeasedBuild | undefined> {
    const end = performance.now() + Math.min(waitMs, WAIT_MS_MAX);
    const signal = AbortSignal.any([gone, this.#options.live.closing]);
    const waiter = new Follower();
    this.#waiting.add(waiter);
    try {
      for (;;) {
        await waiter.next(signal, Math.max(0, end - performance.now()));
        if (signal.aborted) return undefined;
        const leased = await this.#take(worker);
        if (leased !== undefined && signal.aborted) return await this.#giveBack(leased);
        if (leased !== undefined || performance.now() >= end) return leased;
      }
    } finally {
      this.#waiting.delete(waiter);
    }
  }

  /** Takes the oldest build that no other takes now; those that cannot be leased are passed over. */
  async #take(worker: string): Promise<LeasedBuild | undefined> {
    const passed = new Set<string>();
    this.#takers += 1;
    try {
      for (;;) {
        const id = this.#next(passed);
        if (id === undefined) {
          const found = await this.#look();
          if (found.every((one) => passed.has(one))) return undefined;
          continue;
        }
        passed.add(id);
        const leased = await this.#tryLease(id, worker);
        if (leased !== undefined) return leased;
      }
    } finally {
      this.#takers -= 1;
      // What was read is old by the time that somebody asks again.
      if (this.#takers === 0) this.#found = [];
    }
  }

  #next(passed: ReadonlySet<string>): string | undefined {
    const index = this.#found.findIndex((id) => !passed.has(id));
    return index === -1 ? undefined : this.#found.splice(index, 1)[0];
  }

  /** Reads which builds wait that nobody takes now, once for all who ask meanwhile. */
  #look(): Promise<readonly string[]> {
    this.#looking ??= this.#read().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #read(): Promise<readonly string[]> {
    const count = Math.min(LOOKED_AT_MAX + this.#underWay.size, RANGE_ENTRIES_MAX);
    const queued = await this.#options.table.oldestQueued(count);
    this.#found = queued.filter((id) => !this.#underWay.has(id));
    return [...this.#found];
  }

  async #tryLease(id: string, worker: string): Promise<LeasedBuild | undefined> {
    const { table, limits } = this.#options;
    this.#underWay.add(id);
    try {
      const result = await table.change(id, (row) =>
        lease(row, {
          worker,
          nowMs: Date.now(),
          attemptMsMax: attemptMsOf(row.overallMs, limits),
          overallLeftMs: this.#leftMs(row),
        }),
      );
      if (!result.ok || result.row.state !== "leased") return undefined;
      failpoint("controlplane.after-lease-txn");
      return result.row;
    } catch (error) {
      // Others may have gone to wait because this one had it.
      for (const waiter of this.#waiting) waiter.mark();
      throw error;
    } finally {
      this.#underWay.delete(id);
    }
  }

  #leftMs(row: BuildRow): number {
    const leftMs = this.#options.overallLeftMs(row.id) ?? row.overallMs - row.overallSpentMs;
    return Math.floor(Math.max(0, leftMs));
  }

  async #giveBack(leased: LeasedBuild): Promise<undefined> {
    const outcome = { kind: "failure", reason: HANDED_BACK, message: "" } as const;
    await this.#options.table.change(leased.id, (row) =>
      complete(row, leased.attempt, outcome, Date.now()),
    );
    return undefined;
  }
}
