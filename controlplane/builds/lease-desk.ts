// Hands queued builds to workers that ask: oldest first, one worker each. Who finds none waits here,
// and is woken by the row of the next one.
import { attemptMsOf, type BuildLimits } from "../../core/builds/build-limits.ts";
import type { BuildRow, LeasedBuild } from "../../core/builds/build-row.ts";
import { complete, HANDED_BACK, lease } from "../../core/builds/build-transitions.ts";
import { failpoint } from "../../runtime/failpoint.ts";
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
  #turn: Promise<unknown> = Promise.resolve();

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
        const leased = await this.#inTurn(() => this.#take(worker));
        if (leased !== undefined && signal.aborted) return await this.#giveBack(leased);
        if (leased !== undefined || performance.now() >= end) return leased;
      }
    } finally {
      this.#waiting.delete(waiter);
    }
  }

  /** One at a time: all who are woken by one build would only be in each other's way. */
  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  async #take(worker: string): Promise<LeasedBuild | undefined> {
    const { table, limits } = this.#options;
    for (const id of await table.oldestQueued(LOOKED_AT_MAX)) {
      const result = await table.change(id, (row) =>
        lease(row, {
          worker,
          nowMs: Date.now(),
          attemptMsMax: attemptMsOf(row.overallMs, limits),
          overallLeftMs: this.#leftMs(row),
        }),
      );
      if (!result.ok || result.row.state !== "leased") continue;
      failpoint("controlplane.after-lease-txn");
      return result.row;
    }
    return undefined;
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
