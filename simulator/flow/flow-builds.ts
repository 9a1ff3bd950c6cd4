// The build queue of a fleet: rows that change by the transitions of production, deadlines kept by the
// sweeper's machine, and workers that take the oldest build, run it for its time and may die meanwhile.
import { attemptMsOf, BUILD_LIMITS, OVERALL_MS_DEFAULT } from "../../core/builds/build-limits.ts";
import { type BuildRow, isLive } from "../../core/builds/build-row.ts";
import { type Change, complete, expire, lease, lose } from "../../core/builds/build-transitions.ts";
import {
  DeadlineKeeper,
  type KeeperEffect,
  type KeeperInput,
} from "../../core/builds/deadline-keeper.ts";
import type { Instant } from "../../core/machine.ts";
import { type FlowClock, FlowDriver } from "./flow-clock.ts";

/** A worker without work asks so often. */
const ASK_MS = 500;
const HEARTBEAT_MS = 5_000;
/** The source is fetched and checked out. */
const CHECKOUT_MS = 3_000;

/** What a request wants built, and what becomes of it. */
export interface BuildJob {
  readonly id: string;
  readonly service: string;
  /** Of its command. */
  readonly commandMs: number;
  readonly isCommandBad: boolean;
  /** Bytes are packed and sent to the origin while they are made from the end of the command on. */
  readonly packMs: number;
}

export interface BuildsWorld {
  readonly clock: FlowClock;
  leased(build: string): void;
  /** Its row is this now. */
  rowChanged(row: BuildRow): void;
  /** Its command has ended, and it begins to be packed. */
  packing(build: string, attempt: number): void;
  /** What was packed of it is of no use. */
  dropped(build: string, attempt: number): void;
  ended(build: string, row: BuildRow): void;
}

interface Worker {
  readonly name: string;
  isUp: boolean;
  job: { readonly build: string; readonly attempt: number } | undefined;
}

export class FlowBuilds {
  readonly #world: BuildsWorld;
  readonly #rows = new Map<string, BuildRow>();
  readonly #jobs = new Map<string, BuildJob>();
  readonly #queue: string[] = [];
  readonly #workers: Worker[];
  readonly #keeper: FlowDriver<KeeperInput, KeeperEffect>;
  readonly #desk: DeadlineKeeper;
  /** The store is away until then: nothing changes. */
  #awayUntil: Instant = 0;
  queuedMost = 0;

  constructor(world: BuildsWorld, workers: number) {
    this.#world = world;
    this.#desk = new DeadlineKeeper(BUILD_LIMITS);
    this.#keeper = new FlowDriver<KeeperInput, KeeperEffect>(world.clock, this.#desk, (effects) => {
      for (const effect of effects) this.#due(effect);
    });
    this.#workers = Array.from({ length: workers }, (_, index) => ({
      name: `w${index}`,
      isUp: true,
      job: undefined,
    }));
  }

  submit(job: BuildJob): void {
    const row = queuedRow(job, this.#world.clock.now);
    this.#jobs.set(job.id, job);
    this.#keep(row);
    this.#queue.push(job.id);
    this.queuedMost = Math.max(this.queuedMost, this.#queue.length);
    this.#assign();
  }

  /** A worker that has work dies, or another one; it is back after a while. */
  kill(index: number, backMs: number): void {
    const busy = this.#workers.filter(({ job, isUp }) => isUp && job !== undefined);
    const worker = busy[index % Math.max(1, busy.length)];
    if (worker === undefined) return;
    worker.isUp = false;
    worker.job = undefined;
    this.#world.clock.in(backMs, () => {
      worker.isUp = true;
      this.#assign();
    });
  }

  /** Nothing is heard before. */
  away(until: Instant): void {
    this.#awayUntil = Math.max(this.#awayUntil, until);
    this.#world.clock.at(until, () => {
      this.#keeper.input({ kind: "outage-ended" });
      this.#assign();
    });
  }

  #assign(): void {
    const { clock } = this.#world;
    if (clock.now < this.#awayUntil) return;
    for (const worker of this.#workers) {
      if (this.#queue.length === 0) return;
      if (!worker.isUp || worker.job !== undefined) continue;
      const build = this.#queue.shift() as string;
      const row = this.#rows.get(build);
      if (row === undefined) continue;
      const { now } = clock;
      const overallLeftMs = this.#desk.overallLeftMs(build, now) ?? 0;
      const attemptMsMax = attemptMsOf(row.overallMs, BUILD_LIMITS);
      const to = { worker: worker.name, nowMs: now, attemptMsMax, overallLeftMs };
      const leased = lease(row, to);
      if (!leased.ok) continue;
      worker.job = { build, attempt: leased.row.attempt };
      this.#keep(leased.row);
      this.#world.leased(build);
      // A worker asks now and then, so it takes it a moment later.
      clock.in(ASK_MS / 2, () =>
        this.#run(worker, build, leased.row.attempt, leased.row.attemptMs),
      );
    }
  }

  #run(worker: Worker, build: string, attempt: number, attemptMs: number): void {
    const { clock } = this.#world;
    const job = this.#jobs.get(build) as BuildJob;
    const isOn = (): boolean =>
      worker.isUp && worker.job?.build === build && worker.job.attempt === attempt;
    const beat = (): void => {
      if (!isOn()) return;
      if (clock.now >= this.#awayUntil) this.#keeper.input({ kind: "heard", build, attempt });
      clock.in(HEARTBEAT_MS, beat);
    };
    beat();
    const workMs = CHECKOUT_MS + job.commandMs;
    const isTooLong = workMs + job.packMs > attemptMs;
    const endMs = isTooLong ? attemptMs : workMs;
    clock.in(endMs, () => {
      if (!isOn()) return;
      if (isTooLong || job.isCommandBad) {
        const reason = isTooLong ? "attempt" : "command";
        this.#complete(worker, build, attempt, { kind: "failure", reason, message: "" });
        return;
      }
      this.#world.packing(build, attempt);
      clock.in(job.packMs, () => {
        if (!isOn()) return;
        const { service } = job;
        this.#complete(worker, build, attempt, { kind: "release", release: build, service });
      });
    });
  }

  #complete(
    worker: Worker,
    build: string,
    attempt: number,
    outcome: Parameters<typeof complete>[2],
  ): void {
    const { clock } = this.#world;
    if (clock.now < this.#awayUntil) {
      clock.at(this.#awayUntil, () => this.#complete(worker, build, attempt, outcome));
      return;
    }
    if (worker.job?.build === build) worker.job = undefined;
    const row = this.#rows.get(build);
    if (row !== undefined) this.#change(complete(row, attempt, outcome, clock.now));
    this.#assign();
  }

  #due(effect: KeeperEffect): void {
    const { now } = this.#world.clock;
    const row = this.#rows.get(effect.build);
    if (row === undefined || now < this.#awayUntil) return;
    const { build, attempt } = effect;
    if (effect.kind === "expire") this.#change(expire(row, attempt, effect.limit, now));
    if (effect.kind !== "lose") return;
    const overallLeftMs = this.#desk.overallLeftMs(build, now) ?? 0;
    const change = lose(row, attempt, { overallLeftMs, ranMs: effect.ranMs, nowMs: now });
    this.#world.dropped(build, attempt);
    this.#change(change);
    if (!change.ok || change.row.state !== "queued") return;
    this.#queue.unshift(build);
    this.#assign();
  }

  #change(change: Change): void {
    if (change.ok) this.#keep(change.row);
  }

  #keep(row: BuildRow): void {
    this.#rows.set(row.id, row);
    this.#keeper.input({ kind: "changed", row });
    this.#world.rowChanged(row);
    if (isLive(row)) return;
    this.#rows.delete(row.id);
    this.#jobs.delete(row.id);
    this.#world.ended(row.id, row);
  }
}

/** Asked to be shipped to the machines of its service. */
function queuedRow({ id, service }: BuildJob, nowMs: number): BuildRow {
  const wish = { targets: { service }, overrideTargets: true, excludedRegions: [] };
  return {
    state: "queued",
    ship: { wish: { ...wish, supersede: false, urgent: false }, requesters: [id] },
    ...{ id, service, repository: "", sha: id, recipe: "", expectedService: service, dedupKey: id },
    ...{ traceparent: "", createdAtMs: nowMs, overallMs: OVERALL_MS_DEFAULT },
    ...{ overallSpentMs: 0, stateSpentMs: 0, attempt: 0, losses: 0, retryNeedsMs: 0 },
    requesters: [id],
  };
}
