// A world in virtual time for the queue's rules: rows that change one at a time as in the store, the
// keeper of deadlines, and workers that do whatever their plans say. It decides nothing itself.
import { attemptMsOf, BUILD_LIMITS } from "../../../core/builds/build-limits.ts";
import {
  type BuildRow,
  isLive,
  NO_PROGRESS,
  type QueuedBuild,
} from "../../../core/builds/build-row.ts";
import {
  type Change,
  cancel,
  checkpoint,
  complete,
  expire,
  heartbeat,
  lease,
  lose,
  type Outcome,
} from "../../../core/builds/build-transitions.ts";
import { DeadlineKeeper, type KeeperEffect } from "../../../core/builds/deadline-keeper.ts";

/** What a worker does with the build it leased; times are from the lease on. */
export interface WorkerPlan {
  /** It heartbeats each second until then, and is silent after. */
  readonly aliveMs: number;
  /** It reports its outcome then, also when it has been silent for long; absent: never. */
  readonly completeMs: number | undefined;
  readonly outcome: Outcome;
  /** Added to the attempt it reports: not 0 is a worker that is confused. */
  readonly attemptError: number;
  /** Reports once more after so long. */
  readonly repeatMs: number;
}

export interface HistoryLine {
  readonly at: number;
  readonly build: string;
  readonly state: BuildRow["state"];
  readonly attempt: number;
}

/** A new build as submitted. */
export function submitted(id: string, overallMs: number): QueuedBuild {
  return {
    id,
    state: "queued",
    repository: "/repository",
    sha: "0".repeat(40),
    recipe: "",
    expectedService: "",
    service: "",
    dedupKey: id,
    traceparent: "",
    createdAtMs: 0,
    overallMs,
    overallSpentMs: 0,
    stateSpentMs: 0,
    attempt: 0,
    losses: 0,
    retryNeedsMs: 0,
    requesters: ["r"],
  };
}

interface Event {
  readonly at: number;
  readonly run: () => void;
}

export class QueueWorld {
  now = 0;
  readonly rows = new Map<string, BuildRow>();
  readonly history: HistoryLine[] = [];
  /** Reports that were accepted, the repeats of accepted ones left out. */
  readonly accepted: { readonly build: string; readonly attempt: number }[] = [];
  #keeper = new DeadlineKeeper(BUILD_LIMITS);
  #events: Event[] = [];
  #stalledUntil = 0;

  /** Runs at a point in time. */
  at(time: number, run: () => void): void {
    this.#events.push({ at: time, run });
  }

  /** Lets time pass, waking the keeper when it asks. */
  runUntil(end: number): void {
    for (;;) {
      const next = this.#events.reduce<Event | undefined>(
        (first, event) => (first === undefined || event.at < first.at ? event : first),
        undefined,
      );
      const wakeAt = Math.max(this.#keeper.deadline, this.#stalledUntil, this.now);
      const time = Math.min(next?.at ?? Number.POSITIVE_INFINITY, wakeAt);
      if (time > end) break;
      this.now = Math.max(this.now, time);
      if (next !== undefined && next.at === time) {
        this.#events = this.#events.filter((event) => event !== next);
        next.run();
      } else {
        this.#input({ kind: "wake" });
      }
    }
    this.now = end;
  }

  submit(row: QueuedBuild): void {
    this.#commit(row);
  }

  /** A worker asks for work; the oldest queued build is its. */
  leaseBy(worker: string, plan: WorkerPlan): void {
    const queued = [...this.rows.values()].find((row) => row.state === "queued");
    if (queued === undefined) return;
    const overallLeftMs = this.#keeper.overallLeftMs(queued.id, this.now) ?? 0;
    const change = lease(queued, {
      worker,
      nowMs: this.now,
      attemptMsMax: attemptMsOf(queued.overallMs, BUILD_LIMITS),
      overallLeftMs,
    });
    if (!change.ok) return;
    this.#commit(change.row);
    this.#follow(change.row.id, change.row.attempt, plan);
  }

  cancel(build: string): void {
    this.#apply(build, (row) => cancel(row, "r", this.now));
  }

  /** The control plane ends and begins anew with what the rows say. */
  restart(): void {
    this.#keeper = new DeadlineKeeper(BUILD_LIMITS);
    for (const row of this.rows.values()) this.#input({ kind: "changed", row });
  }

  /** The control plane stands still: nobody is heard and nothing is swept. */
  stall(forMs: number): void {
    this.#stalledUntil = this.now + forMs;
  }

  #follow(build: string, attempt: number, plan: WorkerPlan): void {
    const start = this.now;
    const beat = (): void => {
      if (this.now - start > plan.aliveMs) return;
      const row = this.rows.get(build)!;
      const change = heartbeat(row, attempt, { service: "s", progress: NO_PROGRESS });
      if (!change.ok) return;
      if (this.now >= this.#stalledUntil) this.#input({ kind: "heard", build, attempt });
      this.at(this.now + 1_000, beat);
    };
    beat();
    if (plan.completeMs === undefined) return;
    const report = (): void => this.#report(build, attempt + plan.attemptError, plan.outcome);
    this.at(start + plan.completeMs, report);
    this.at(start + plan.completeMs + plan.repeatMs, report);
  }

  #report(build: string, attempt: number, outcome: Outcome): void {
    const before = this.rows.get(build)!;
    this.#apply(build, (row) => complete(row, attempt, outcome, this.now));
    if (this.rows.get(build) !== before) this.accepted.push({ build, attempt });
  }

  #apply(build: string, change: (row: BuildRow) => Change): void {
    const row = this.rows.get(build);
    if (row === undefined) return;
    const result = change(row);
    if (result.ok && result.row !== row) this.#commit(result.row);
  }

  #commit(row: BuildRow): void {
    const before = this.rows.get(row.id);
    if (before?.state !== row.state || before.attempt !== row.attempt) {
      this.history.push({ at: this.now, build: row.id, state: row.state, attempt: row.attempt });
    }
    this.rows.set(row.id, row);
    this.#input({ kind: "changed", row });
  }

  #input(input: Parameters<DeadlineKeeper["step"]>[1]): void {
    const effects: KeeperEffect[] = [];
    this.#keeper.step(this.now, input, effects);
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: KeeperEffect): void {
    const { build, attempt } = effect;
    this.#apply(build, (row) => {
      switch (effect.kind) {
        case "expire":
          return expire(row, attempt, effect.limit, this.now);
        case "lose": {
          const overallLeftMs = this.#keeper.overallLeftMs(build, this.now) ?? 0;
          return lose(row, attempt, { overallLeftMs, ranMs: effect.ranMs, nowMs: this.now });
        }
        case "checkpoint":
          return checkpoint(row, attempt, effect.spent);
        default:
          throw effect satisfies never;
      }
    });
  }
}

/** Whether every build has ended. */
export function allEnded(world: QueueWorld): boolean {
  return ![...world.rows.values()].some(isLive);
}
