// Runs the keeper of deadlines on the leader and carries out what it finds due. A change that fails is
// found due again by the next sweep; silence while the store was away is not held against workers.
import { type BuildLimits, groupMsOf } from "../../core/builds/build-limits.ts";
import type { BuildRow } from "../../core/builds/build-row.ts";
import { checkpoint, expire, lose } from "../../core/builds/build-transitions.ts";
import {
  DeadlineKeeper,
  type KeeperEffect,
  type KeeperInput,
} from "../../core/builds/deadline-keeper.ts";
import { Driver, monotonicNow } from "../../runtime/driver.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store } from "../../runtime/store/store.ts";
import { type Fence, FenceLostError } from "../fence.ts";
import type { BuildTable, PlannedChange } from "./build-table.ts";
import { GroupedChanges } from "./grouped-changes.ts";
import type { LiveBuilds } from "./live-builds.ts";

export interface DeadlineSweeperOptions {
  readonly store: Store;
  readonly table: BuildTable;
  readonly live: LiveBuilds;
  readonly fence: Fence;
  readonly limits: BuildLimits;
  readonly log: Log;
  /** Another control plane has taken over; this one decides no more. */
  readonly onFenceLost: () => void;
}

/** The sweeper of one leader. */
export class DeadlineSweeper {
  readonly #options: DeadlineSweeperOptions;
  readonly #keeper: DeadlineKeeper;
  readonly #driver: Driver<KeeperInput, KeeperEffect>;
  readonly #grouped: GroupedChanges;
  readonly #running = new Map<string, Promise<void>>();
  readonly #unsubscribe: readonly (() => void)[];
  #isStoreAway = false;

  constructor(options: DeadlineSweeperOptions) {
    this.#options = options;
    this.#grouped = new GroupedChanges({ ...options, groupMs: groupMsOf(options.limits) });
    this.#keeper = new DeadlineKeeper(options.limits);
    this.#driver = new Driver(this.#keeper, { perform: (effect) => this.#perform(effect) });
    this.#unsubscribe = [
      options.live.onRow((row) => this.#driver.input({ kind: "changed", row })),
      options.live.onNews((build, attempt) =>
        this.#driver.input({ kind: "heard", build, attempt }),
      ),
    ];
  }

  /** What is left of a live build's overall limit; undefined: not known. */
  overallLeftMs(build: string): number | undefined {
    return this.#keeper.overallLeftMs(build, monotonicNow());
  }

  get liveCount(): number {
    return this.#keeper.liveCount;
  }

  /** Ends the sweeps and waits for the changes that are under way. */
  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#driver.stop();
    await Promise.all(this.#running.values());
  }

  #perform(effect: KeeperEffect): void {
    const { build } = effect;
    if (this.#running.has(build)) return;
    const work = this.#carryOut(effect).finally(() => this.#running.delete(build));
    this.#running.set(build, work);
  }

  async #carryOut(effect: KeeperEffect): Promise<void> {
    const { table, fence, log } = this.#options;
    const { build, attempt, kind } = effect;
    try {
      failpoint("controlplane.before-sweep-txn");
      const plan = (row: BuildRow): PlannedChange => this.#plan(row, effect);
      const result = await (kind === "checkpoint"
        ? this.#grouped.change(build, plan)
        : table.change(build, plan, fence));
      failpoint("controlplane.after-sweep-txn");
      if (this.#isStoreAway) {
        this.#isStoreAway = false;
        this.#driver.input({ kind: "outage-ended" });
      }
      if (!result.ok) return await this.#readAnew(build);
      if (kind === "checkpoint") return;
      log.info({ build, attempt, kind, state: result.row.state }, "build deadline passed");
    } catch (error) {
      this.#isStoreAway = true;
      if (error instanceof FenceLostError) return this.#options.onFenceLost();
      log.warn({ err: error, build, attempt, kind }, "deadline could not be carried out yet");
    }
  }

  /** The keeper believed something that is no longer so, as after lost history: tell it. */
  async #readAnew(build: string): Promise<void> {
    const row = await this.#options.table.get(build);
    if (row !== undefined) this.#driver.input({ kind: "changed", row });
  }

  #plan(row: BuildRow, effect: KeeperEffect): PlannedChange {
    const { build, attempt } = effect;
    const nowMs = Date.now();
    switch (effect.kind) {
      case "expire":
        return expire(this.#options.live.withNews(row), attempt, effect.limit, nowMs);
      case "lose": {
        const overallLeftMs = this.overallLeftMs(build) ?? 0;
        const { ranMs } = effect;
        return lose(this.#options.live.withNews(row), attempt, { overallLeftMs, ranMs, nowMs });
      }
      case "checkpoint":
        return checkpoint(row, attempt, effect.spent);
      default:
        throw effect satisfies never;
    }
  }
}
