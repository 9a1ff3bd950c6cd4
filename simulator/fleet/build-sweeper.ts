// The leader's part in builds: keeps their deadlines with the real keeper, as controlplane/builds/deadline-sweeper.ts does.
import { BUILD_LIMITS } from "../../core/builds/build-limits.ts";
import type { BuildRow } from "../../core/builds/build-row.ts";
import { checkpoint, expire, lose } from "../../core/builds/build-transitions.ts";
import {
  DeadlineKeeper,
  type KeeperEffect,
  type KeeperInput,
} from "../../core/builds/deadline-keeper.ts";
import { BUILDS_PREFIX, changeBuild, type PlannedChange } from "./build-rows.ts";
import { Stepper } from "./process.ts";
import type { StoredEntry } from "./store-model.ts";
import { READ_RETRY_MS, type TermHost } from "./term-host.ts";

export class BuildSweeper {
  readonly #host: TermHost;
  readonly #keeper = new DeadlineKeeper(BUILD_LIMITS);
  readonly #stepper: Stepper<KeeperInput, KeeperEffect>;
  readonly #onRow: (row: BuildRow) => void;
  readonly #running = new Set<string>();
  /** By build: revision of the newest row. */
  readonly #seen = new Map<string, number>();
  #isStoreAway = false;

  /** Every lease has its full window from now on; `onRow` hears of each row as it is read. */
  constructor(host: TermHost, onRow: (row: BuildRow) => void) {
    this.#host = host;
    this.#onRow = onRow;
    this.#stepper = new Stepper(host.process, "builds", this.#keeper, (effect) =>
      this.#perform(effect),
    );
    const end = host.store.watch(
      BUILDS_PREFIX,
      (events) => {
        if (host.isStopped) return end();
        for (const { type, entry } of events) if (type === "put") this.#see(entry);
      },
      () => this.#readAll(),
    );
    this.#readAll();
  }

  /** Live builds. */
  get liveCount(): number {
    return this.#keeper.liveCount;
  }

  overallLeftMs(build: string): number | undefined {
    return this.#keeper.overallLeftMs(build, this.#host.process.now);
  }

  stop(): void {
    this.#stepper.stop();
  }

  /** As production's watch goes on where what was read ends, nothing older is heard after it. */
  #see({ value, modRevision }: StoredEntry): void {
    if (this.#host.isStopped) return;
    const row = value as BuildRow;
    if (modRevision < (this.#seen.get(row.id) ?? 0)) return;
    this.#seen.set(row.id, modRevision);
    this.#stepper.input({ kind: "changed", row });
    this.#onRow(row);
  }

  #readAll(): void {
    const { store, process } = this.#host;
    if (this.#host.isStopped) return;
    store.read(
      (model) => model.range(BUILDS_PREFIX),
      (read) => {
        if (read.kind !== "answered") process.after(READ_RETRY_MS, () => this.#readAll());
        else for (const entry of read.value) this.#see(entry);
      },
    );
  }

  #perform(effect: KeeperEffect): void {
    const { build } = effect;
    if (this.#running.has(build) || this.#host.isStopped) return;
    this.#running.add(build);
    const { store, fence, epoch } = this.#host;
    const plan = (row: BuildRow): PlannedChange => this.#plan(row, effect);
    const done = (outcome: { readonly ok: boolean; readonly refusal?: string }): void => {
      this.#running.delete(build);
      if (outcome.refusal === "lost") {
        this.#isStoreAway = true;
        return;
      }
      if (!this.#isStoreAway || this.#host.isStopped) return;
      this.#isStoreAway = false;
      this.#stepper.input({ kind: "outage-ended" });
    };
    changeBuild(store, build, plan, done, { compare: fence, by: epoch });
  }

  #plan(row: BuildRow, effect: KeeperEffect): PlannedChange {
    const { attempt, build } = effect;
    switch (effect.kind) {
      case "expire":
        return expire(row, attempt, effect.limit, 0);
      case "lose": {
        const overallLeftMs = this.overallLeftMs(build) ?? 0;
        return lose(row, attempt, { overallLeftMs, ranMs: effect.ranMs, nowMs: 0 });
      }
      case "checkpoint":
        return checkpoint(row, attempt, effect.spent);
      default:
        throw effect satisfies never;
    }
  }
}
