// One service on one machine: told what should run, it closes the difference to what does (fetch, stage, switch, check),
// by itself where the rollout is over, with a permit while it is open, and back to the last good release where the new
// one fails. It touches nothing, and every effect may be cut short by a crash and is then found in the journal.
import type { Instant, Machine } from "../machine.ts";
import { Attempts, SWITCH_BACKOFF } from "./agent-backoff.ts";
import type {
  Assignment,
  Effect,
  Input,
  Permit,
  ServiceMachineOptions,
  ServiceOrders,
  ServiceReport,
} from "./agent-facts.ts";
import { type Goal, goalOf, isGivenUp, ownAssignment, type RunGoal } from "./agent-goal.ts";
import {
  EMPTY_JOURNAL,
  failedOutcome,
  following,
  type Journal,
  orderOf,
  releasesToKeep,
  type Switching,
  switched,
  undone,
  withoutLost,
} from "./agent-journal.ts";
import { permitFault, unreadiness } from "./agent-permit.ts";
import { reportOf, sameReport } from "./agent-report.ts";
import { Restarts } from "./agent-restarts.ts";
import { Staging } from "./agent-staging.ts";
import { type Step, sharePort, stepsOf } from "./agent-switch.ts";
import type { Findings, ReleaseId } from "./runnable.ts";
import { ServiceHealth } from "./service-health.ts";

type Effects = Effect[];

/** Takes facts about one service and gives the commands that bring it where it should be. */
export class ServiceMachine implements Machine<Input, Effect> {
  readonly #options: ServiceMachineOptions;
  readonly #restarts = new Restarts();
  readonly #staging = new Staging();
  readonly #switches = new Attempts(SWITCH_BACKOFF);
  #journal: Journal;
  #assignment: Assignment | undefined;
  #onDisk = new Set<ReleaseId>();
  #booted = false;
  #permit: { readonly permit: Permit; readonly until: Instant } | undefined;
  #steps: readonly Step[] = [];
  #stepIndex = 0;
  #stepNumber = 0;
  readonly #health = new ServiceHealth();
  #reported: ServiceReport | undefined;

  constructor(options: ServiceMachineOptions) {
    this.#options = options;
    this.#journal = options.journal ?? EMPTY_JOURNAL;
  }

  get deadline(): Instant {
    const upkeep = this.#restarts.deadline;
    if (this.#journal.switching !== undefined) return upkeep;
    const until = this.#permit?.until ?? Number.POSITIVE_INFINITY;
    return Math.min(upkeep, this.#staging.deadline, this.#switches.retryAt, until);
  }

  step(now: Instant, input: Input, effects: Effects): void {
    this.#take(now, input, effects);
    if (!this.#booted) return;
    if (this.#journal.switching === undefined) this.#pursue(now, effects);
    else this.#turnBack(now, this.#journal.switching, effects);
    this.#report(effects);
  }

  #take(now: Instant, input: Input, effects: Effects): void {
    switch (input.kind) {
      case "booted":
        this.#boot(now, input.findings, effects);
        break;
      case "assigned":
        this.#assign(input.orders, effects);
        break;
      case "permitted":
        this.#receivePermit(now, input.permit, effects);
        break;
      case "staging":
        this.#staging.progressed(input.release, input.phase);
        break;
      case "staged":
        if (this.#staging.ended(now, input.release, "")) this.#onDisk.add(input.release);
        break;
      case "staging-failed":
        this.#stagingEnded(now, input, effects);
        break;
      case "performed":
        this.#performed(now, input.number, input.error, effects);
        break;
      case "exited":
        this.#exited(now, input.release, input.detail, effects);
        break;
      case "probed":
        if (this.#journal.current?.release === input.release) this.#health.probed(input.healthy);
        return;
      case "evicted":
        if (this.#journal.switching === undefined) this.#collect(effects, input.releases);
        break;
      case "wake":
        this.#wake(now, effects);
        break;
      default:
        input satisfies never;
    }
  }

  #boot(now: Instant, findings: Findings, effects: Effects): void {
    this.#booted = true;
    this.#onDisk = new Set(findings.onDisk);
    const running = new Set(findings.running);
    const known = withoutLost(this.#journal, findings);
    if (known !== this.#journal) this.#persist(known, effects);
    const { current, switching } = this.#journal;
    const wanted = [switching?.from, switching?.to, current].map((known) => known?.release);
    for (const release of running) {
      if (!wanted.includes(release)) effects.push({ kind: "reap", release });
    }
    if (switching !== undefined) {
      const { from, to, direction } = switching;
      const isOldNeeded = direction === "forward" && !running.has(to?.release ?? "");
      if (from?.way.kind === "process" && !sharePort(from, to)) {
        if (running.has(from.release)) this.#restarts.want(now, from.release);
        else if (isOldNeeded) this.#restart(now, from.release, effects);
      }
      this.#beginSteps(now, switching, effects);
      return;
    }
    this.#runCurrent(now, findings.pointed, findings.running, effects);
    effects.push({ kind: "watch", release: current?.release });
    this.#collect(effects);
  }

  /** Has what the journal names in place and up, whatever is found. */
  #runCurrent(now: Instant, pointed: string | undefined, up: readonly string[], effects: Effects) {
    const { current } = this.#journal;
    if (pointed !== current?.release) effects.push({ kind: "repoint", release: current?.release });
    if (current?.way.kind !== "process") return;
    if (up.includes(current.release)) this.#restarts.want(now, current.release);
    else this.#restart(now, current.release, effects);
  }

  /** What it went back to may be gone: then it is fetched again, and what is there runs meanwhile. */
  #runInstead(now: Instant, lost: ReleaseId | undefined, up: readonly string[], effects: Effects) {
    if (lost === undefined || this.#journal.current?.release === lost) return;
    this.#restarts.drop(lost);
    this.#runCurrent(now, lost, up, effects);
  }

  #assign(orders: ServiceOrders, effects: Effects): void {
    const order = orderOf(orders, this.#journal);
    if (order < 0) return void effects.push({ kind: "refuse-orders", orders });
    const before = this.#assignment;
    this.#assignment = ownAssignment(orders, this.#options.candidate);
    if (order > 0) this.#persist(following(this.#journal, orders), effects);
    const { rollout, phase } = this.#assignment ?? {};
    if (before?.rollout === rollout && before?.phase === phase) return;
    this.#permit = undefined;
    this.#staging.reset();
    this.#switches.reset();
  }

  #receivePermit(now: Instant, permit: Permit, effects: Effects): void {
    const { switching, outcome, epoch } = this.#journal;
    // A repeat, after a reconnect: what it led to is reported again.
    if (permit.id === switching?.permit || permit.id === outcome?.permit) {
      this.#reported = undefined;
      return;
    }
    const reason =
      permitFault(permit, this.#assignment, epoch, this.#options.candidate) ??
      unreadiness(permit, this.#journal);
    if (reason !== undefined) {
      effects.push({ kind: "refuse", permit, reason, isOld: permit.epoch < epoch });
      return;
    }
    if (permit.epoch > epoch) this.#persist({ ...this.#journal, epoch: permit.epoch }, effects);
    this.#permit = { permit, until: now + permit.ttlMs };
  }

  /** Does the next thing that leads to the goal, if something does now. */
  #pursue(now: Instant, effects: Effects): void {
    const goal = this.#goal();
    if (this.#permit !== undefined && now >= this.#permit.until) this.#permit = undefined;
    if (goal.kind === "stay" || goal.release?.release === this.#journal.current?.release) {
      this.#staging.giveUp(effects);
      this.#permit = undefined;
      if (goal.kind === "run") this.#removeStopped(goal, effects);
      return;
    }
    const isPaused = goal.needsPermit && this.#assignment?.paused === true;
    if (isGivenUp(goal, this.#journal)) {
      this.#staging.giveUp(effects);
      return;
    }
    if (this.#switches.mustWait(now)) return;
    const release = goal.release?.release;
    if (release !== undefined && !this.#onDisk.has(release)) {
      this.#staging.want(now, { release, rollout: goal.rollout }, !isPaused, effects);
      return;
    }
    this.#staging.giveUp(effects);
    if (!goal.needsPermit) {
      this.#begin(now, goal, "", effects);
      return;
    }
    if (this.#permit === undefined || isPaused) return;
    const { id } = this.#permit.permit;
    this.#permit = undefined;
    this.#begin(now, goal, id, effects);
  }

  #stagingEnded(
    now: Instant,
    failure: Extract<Input, { kind: "staging-failed" }>,
    effects: Effects,
  ): void {
    const { release, error, hopeless } = failure;
    if (!this.#staging.ended(now, release, error) || !hopeless) return;
    this.#staging.reset();
    this.#switches.failed(now);
    const rollout = this.#assignment?.rollout ?? "";
    const outcome = failedOutcome(this.#journal, { rollout, release, permit: "", error });
    this.#persist({ ...this.#journal, outcome }, effects);
  }

  #begin(now: Instant, goal: RunGoal, permit: string, effects: Effects): void {
    const switching: Switching = {
      direction: "forward",
      from: this.#journal.current,
      to: goal.release,
      rollout: goal.rollout,
      permit,
      isRollback: goal.isRollback,
      error: "",
    };
    this.#persist({ ...this.#journal, switching }, effects);
    this.#beginSteps(now, switching, effects);
  }

  #beginSteps(now: Instant, switching: Switching, effects: Effects): void {
    this.#steps = stepsOf(switching);
    this.#stepIndex = 0;
    this.#perform(now, effects);
  }

  #perform(now: Instant, effects: Effects): void {
    const step = this.#steps[this.#stepIndex];
    if (step === undefined) {
      this.#commit(now, effects);
      return;
    }
    if (step.do === "start") this.#restarts.want(now, step.release);
    if (step.do === "stop") this.#restarts.drop(step.release);
    if (step.do === "hand-over") {
      this.#restarts.drop(step.from);
      this.#restarts.want(now, step.to);
    }
    this.#stepNumber += 1;
    effects.push({ kind: "perform", number: this.#stepNumber, step });
  }

  #performed(now: Instant, number: number, error: string | undefined, effects: Effects): void {
    const { switching } = this.#journal;
    if (number !== this.#stepNumber || switching === undefined) return;
    const step = this.#steps[this.#stepIndex] as Step;
    const isForward = switching.direction === "forward";
    if (step.do === "check" && !(isForward && error !== undefined)) {
      this.#health.checked(error === undefined);
    }
    if (error !== undefined && isForward) {
      this.#undo(now, switching, error, effects);
      return;
    }
    if (error !== undefined) this.#noteUndoError(now, step, switching, error);
    this.#stepIndex += 1;
    this.#perform(now, effects);
  }

  #undo(now: Instant, switching: Switching, error: string, effects: Effects): void {
    const undo: Switching = { ...switching, direction: "undo", error };
    this.#persist({ ...this.#journal, switching: undo }, effects);
    this.#beginSteps(now, undo, effects);
  }

  /** Going back is never given up: a last-good process that does not start is started again. */
  #noteUndoError(now: Instant, step: Step, switching: Switching, error: string): void {
    if (step.do === "start") this.#restarts.died(now, step.release);
    if (step.do === "hand-over") this.#restarts.died(now, step.to);
    const errors = switching.error === "" ? error : `${switching.error}; going back: ${error}`;
    this.#journal = { ...this.#journal, switching: { ...switching, error: errors } };
  }

  /** The rollout was taken back while this machine is switching under it. */
  #turnBack(now: Instant, switching: Switching, effects: Effects): void {
    if (switching.direction === "undo" || switching.isRollback) return;
    const { phase, rollout } = this.#assignment ?? {};
    if (phase !== "rollback" || rollout !== switching.rollout) return;
    this.#undo(now, switching, "", effects);
  }

  #commit(now: Instant, effects: Effects): void {
    const switching = this.#journal.switching as Switching;
    if (switching.direction === "forward") {
      this.#persist(switched(this.#journal, switching), effects);
      this.#switches.reset();
    } else {
      const known = { onDisk: [...this.#onDisk], running: this.#restarts.up };
      this.#persist(undone(this.#journal, switching, known), effects);
      this.#runInstead(now, switching.from?.release, known.running, effects);
      if (switching.error !== "") this.#switches.failed(now);
    }
    const { current } = this.#journal;
    this.#health.switched(current !== undefined);
    effects.push({ kind: "watch", release: current?.release });
    this.#collect(effects);
    this.#pursue(now, effects);
  }

  #exited(now: Instant, release: ReleaseId, detail: string, effects: Effects): void {
    const { switching, current } = this.#journal;
    const step = switching === undefined ? undefined : this.#steps[this.#stepIndex];
    if (switching?.direction === "forward" && step?.do === "check" && step.release === release) {
      this.#performed(now, this.#stepNumber, detail, effects);
      return;
    }
    if (!this.#restarts.has(release)) return;
    this.#restarts.died(now, release);
    if (current?.release !== release) return;
    this.#health.died(detail);
  }

  #restart(now: Instant, release: ReleaseId, effects: Effects): void {
    this.#restarts.want(now, release);
    effects.push({ kind: "restart", release });
  }

  #wake(now: Instant, effects: Effects): void {
    for (const release of this.#restarts.takeDue(now)) effects.push({ kind: "restart", release });
    this.#switches.mustWait(now);
    this.#staging.wake(now);
  }

  /** A service that was ended for good leaves nothing behind. */
  #removeStopped(goal: RunGoal, effects: Effects): void {
    if (goal.release !== undefined || goal.needsPermit || goal.isRollback) return;
    if (this.#onDisk.size === 0) return;
    this.#persist({ ...this.#journal, lastGood: undefined, history: [] }, effects);
    this.#collect(effects);
  }

  #collect(effects: Effects, evicted: readonly ReleaseId[] = []): void {
    const goal = this.#goal();
    const coming = goal.kind === "run" ? goal.release : undefined;
    const keepCount = this.#assignment?.keep || this.#options.keepReleases;
    const keep = releasesToKeep(this.#journal, coming, keepCount, evicted);
    for (const release of this.#onDisk) if (!keep.has(release)) this.#onDisk.delete(release);
    effects.push({ kind: "collect", keep: [...keep] });
  }

  #goal(): Goal {
    return goalOf(this.#assignment, this.#journal);
  }

  #persist(journal: Journal, effects: Effects): void {
    this.#journal = journal;
    effects.push({ kind: "persist", journal });
  }

  #report(effects: Effects): void {
    const goal = this.#goal();
    const wanted = goal.kind === "run" ? goal.release?.release : undefined;
    const status = reportOf({
      journal: this.#journal,
      assignment: this.#assignment,
      goal,
      step: this.#steps[this.#stepIndex],
      staging: this.#staging.phase,
      isStaged: wanted === undefined ? goal.kind === "run" : this.#onDisk.has(wanted),
      stagingError: this.#staging.error,
      healthy: this.#health.isHealthy,
      downError: this.#health.trouble,
    });
    if (this.#reported !== undefined && sameReport(status, this.#reported)) return;
    this.#reported = status;
    effects.push({ kind: "report", status });
  }
}
