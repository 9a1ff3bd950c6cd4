// A rollout as the leader decides it: replication gate, waves, permits, gates, roll-back, pause, end.
// Facts come from relays, operators and the store; nothing is done before it is written down.
import type { Instant, Machine } from "../machine.ts";
import { outMax } from "./bounds.ts";
import type { CensusCount } from "./census.ts";
import { isFinal, mayFollow, stateMsMax } from "./lifecycle.ts";
import { PERMIT_TTL_MS, type Room } from "./permits.ts";
import { RelayBoard } from "./relay-board.ts";
import { RolloutBook } from "./rollout-book.ts";
import { areAllBack, expiry, leftOver } from "./rollout-end.ts";
import type { AssignPhase, RolloutEffect, RolloutInput } from "./rollout-facts.ts";
import type { RolloutPlan, RolloutRow, RolloutState, WaveRow } from "./rollout-row.ts";
import { StoppableClock } from "./stoppable-clock.ts";
import type { CensusQuestion } from "./wave-draw.ts";
import { WAVE_HASH_END } from "./wave-hash.ts";
import { WaveRun } from "./wave-run.ts";

/** How often it looks at what only time changes: as often as relays report. */
const LOOK_MS = 1_000;

export class Rollout implements Machine<RolloutInput, RolloutEffect> {
  readonly plan: RolloutPlan;
  readonly #epoch: number;
  readonly #board: RelayBoard;
  readonly #clock = new StoppableClock();
  readonly #book: RolloutBook;
  #run: WaveRun | undefined;
  #missingRegions: readonly string[] | undefined;
  #queries = 0;
  /** What its gate waited for when it was judged last. */
  #waitsFor = "";
  #endsAt: Instant = Number.POSITIVE_INFINITY;
  #bakedAt: Instant = Number.POSITIVE_INFINITY;
  deadline: Instant = Number.POSITIVE_INFINITY;

  /** Takes a rollout over, as it is written down, under a new epoch; `started` must be its first fact. */
  constructor(plan: RolloutPlan, row: RolloutRow, epoch: number) {
    this.plan = plan;
    this.#book = new RolloutBook(plan, row);
    this.#epoch = epoch;
    this.#board = new RelayBoard(epoch);
  }

  /** As it stands, with the counts of the current wave as last heard. */
  get row(): RolloutRow {
    return this.#book.row;
  }

  /** Regions that it still waits for. */
  get missingRegions(): readonly string[] {
    return this.#missingRegions ?? [];
  }

  step(now: Instant, input: RolloutInput, effects: RolloutEffect[]): void {
    if (isFinal(this.row.state)) return;
    this.#take(now, this.#clock.at(now), input, effects);
    const at = this.#clock.at(now);
    if (!isFinal(this.row.state) && !this.row.paused) this.#advance(at, effects);
    this.deadline = this.#nextLook(at);
  }

  #take(now: Instant, at: Instant, input: RolloutInput, effects: RolloutEffect[]): void {
    switch (input.kind) {
      case "started":
        this.#start(now, at, input.relays, effects);
        return;
      case "turn-came":
        if (this.row.state !== "waiting") return;
        this.#enter(at, "replicating", effects);
        this.#assign("open", effects);
        return;
      case "relay-joined":
        if (this.plan.excludedRegions.includes(input.region)) return;
        this.#board.joined(at, input);
        return;
      case "relay-lost":
        this.#board.lost(at, input.relay);
        return;
      case "relay-reported": {
        const view = this.#board.reported(at, input.relay, input.tally);
        if (view !== undefined) this.#run?.heard(at, view);
        return;
      }
      case "replicated":
        this.#missingRegions = input.missing;
        return;
      case "census-answered":
        this.#counted(at, input.relay, input.query, input.count, effects);
        return;
      case "assigned":
        if (!this.#book.assigned(input.serial, input.revision)) return;
        this.#run?.announced(at, input.revision);
        return;
      case "paused":
        this.#pause(now, true, effects);
        return;
      case "resumed":
        this.#pause(now, false, effects);
        return;
      case "aborted":
        this.#abort("aborted", "aborted by hand", effects);
        return;
      case "superseded":
        this.#abort("superseded", "a newer rollout of the service took its place", effects);
        return;
      case "rolled-back-by-hand":
        this.#clock.goOn(now);
        this.#rollBack(this.#clock.at(now), "by_hand", "rolled back by hand", effects);
        return;
      case "wake":
        return;
      default:
        input satisfies never;
    }
  }

  #start(now: Instant, at: Instant, relays: readonly string[], effects: RolloutEffect[]): void {
    this.#board.await(at, relays);
    this.#endsAt = at + this.#stateMsMax(this.row.state);
    if (this.row.state === "baking") this.#bakedAt = at + this.#book.wavePlan.bakeMs;
    if (this.row.state === "activating" || this.row.state === "baking") this.#beginRun(at);
    if (this.row.paused) this.#clock.stop(now);
    if (this.row.state === "waiting") return;
    this.#assign(this.row.state === "rolling_back" ? "rollback" : "open", effects);
  }

  #advance(at: Instant, effects: RolloutEffect[]): void {
    if (at >= this.#endsAt) {
      this.#expire(effects);
      return;
    }
    const { state } = this.row;
    switch (state) {
      case "waiting":
        return;
      case "replicating":
        if (this.#missingRegions?.length === 0) this.#beginWave(at, 0, effects);
        return;
      case "activating":
      case "baking":
        if (this.#book.wave === undefined) {
          this.#drawWave(at, effects);
          return;
        }
        this.#runWave(at, effects);
        return;
      case "rolling_back":
        this.#lookBack(at, effects);
        return;
      case "succeeded":
      case "rolled_back":
      case "aborted":
      case "failed":
        return;
      default:
        state satisfies never;
    }
  }

  #beginWave(at: Instant, wave: number, effects: RolloutEffect[]): void {
    this.#book.beginWave(wave);
    this.#beginRun(at);
    this.#enter(at, "activating", effects);
    this.#drawWave(at, effects);
  }

  #beginRun(at: Instant): void {
    const from = { epoch: this.#epoch, at, query: this.#queries };
    this.#run = new WaveRun(this.plan, this.row, this.#board, from);
  }

  #drawWave(at: Instant, effects: RolloutEffect[]): void {
    // With no relay there is nobody to ask, and one that is missed may have machines to count.
    if (this.#run === undefined || this.#board.online.length === 0) return;
    if (this.#board.isMissingAny(at)) return;
    const { regions, percent } = this.#book.wavePlan;
    const asked = this.#board.online.filter(
      ({ region }) => regions.length === 0 || regions.includes(region),
    );
    if (asked.length === 0) {
      this.#drawn(at, 0, percent >= 100 ? WAVE_HASH_END : 0, effects);
      return;
    }
    const relays = asked.map(({ relay }) => relay);
    this.#ask(this.#run.draw.ask(at, relays), effects);
  }

  #counted(
    at: Instant,
    relay: string,
    query: number,
    count: CensusCount,
    effects: RolloutEffect[],
  ): void {
    const isDrawing = this.row.waves.length === this.row.wave && !this.row.paused;
    if (this.#run === undefined || !isDrawing) return;
    const { wave, question } = this.#run.draw.answered(at, relay, query, count);
    this.#ask(question, effects);
    if (wave !== undefined) this.#drawn(at, wave.size, wave.threshold, effects);
  }

  #ask(question: CensusQuestion | undefined, effects: RolloutEffect[]): void {
    if (question === undefined) return;
    this.#queries = question.query;
    effects.push({ kind: "census", wave: this.row.wave, ...question });
  }

  #drawn(at: Instant, size: number, threshold: number, effects: RolloutEffect[]): void {
    // Nobody at all, with a relay away, is silence: it is asked again until a machine or the deadline comes.
    if (size === 0 && this.#board.isAnyAway && this.#book.isForFirstMachine) return;
    const counts = { planned: undefined, matching: 0, activeBefore: 0 };
    const wave = { size, threshold, ...counts, permitted: 0, healthy: 0, failed: 0 };
    this.#book.note(wave);
    // Nobody to wait for: an empty wave has nothing to watch either.
    if (size === 0) {
      this.#passWave(at, effects);
      return;
    }
    this.#persist(effects);
    this.#assign("open", effects);
  }

  #runWave(at: Instant, effects: RolloutEffect[]): void {
    const run = this.#run;
    const drawn = this.#book.wave;
    if (run === undefined || drawn === undefined) return;
    const { failedBefore } = this.#book;
    const planned = run.planned(at, drawn, failedBefore);
    if (planned === undefined) return;
    if (drawn.planned === undefined) this.#extend(at, planned);
    const { gate, wave } = run.judge(at, planned, failedBefore);
    this.#waitsFor = gate.why;
    this.#book.note(wave);
    if (gate.verdict === "over") {
      this.#rollBack(at, "budget", gate.why, effects);
      return;
    }
    const isWell = gate.verdict === "pass" && run.isWholeKnown(at);
    if (isWell && this.row.state === "activating" && gate.isServed) {
      this.#bake(at, effects);
      return;
    }
    if (isWell && this.row.state === "baking" && at >= this.#bakedAt) {
      this.#passWave(at, effects);
      return;
    }
    this.#grant(at, gate.room, effects);
  }

  #grant(at: Instant, room: Room, effects: RolloutEffect[]): void {
    const grants = this.#run?.grants(at, room) ?? [];
    if (grants.length === 0) return;
    this.#persist(effects);
    for (const grant of grants) {
      effects.push({ kind: "grant", ...grant, wave: this.row.wave, ttlMs: PERMIT_TTL_MS });
    }
  }

  #bake(at: Instant, effects: RolloutEffect[]): void {
    if (this.#book.wavePlan.bakeMs === 0) {
      this.#passWave(at, effects);
      return;
    }
    this.#bakedAt = at + this.#book.wavePlan.bakeMs;
    this.#enter(at, "baking", effects);
  }

  #passWave(at: Instant, effects: RolloutEffect[]): void {
    const next = this.row.wave + 1;
    if (next < this.plan.waves.length) {
      this.#beginWave(at, next, effects);
      return;
    }
    this.#end(
      "succeeded",
      { reason: "", message: leftOver(this.#board, this.#book) },
      "final",
      effects,
    );
  }

  #lookBack(at: Instant, effects: RolloutEffect[]): void {
    if (!areAllBack(at, this.#board, this.#book)) return;
    const { reason, message } = this.row;
    if (this.plan.hasFallback) {
      this.#end("rolled_back", { reason, message }, "restored", effects);
    } else {
      const why = `${message}; there was no release to go back to, so the service is stopped`;
      this.#end("failed", { reason: "no_last_good", message: why }, undefined, effects);
    }
  }

  #rollBack(at: Instant, reason: string, message: string, effects: RolloutEffect[]): void {
    const { state } = this.row;
    if (state === "rolling_back") return;
    if (state === "waiting") {
      this.#abort("aborted", message, effects);
      return;
    }
    this.#run = undefined;
    this.#book.dropPermits();
    this.#book.change({ reason, message, paused: false });
    if (!this.#book.wasTouched) {
      this.#book.move("rolling_back");
      this.#end("rolled_back", { reason, message }, "withdrawn", effects);
      return;
    }
    this.#enter(at, "rolling_back", effects);
    this.#assign("rollback", effects);
  }

  #abort(reason: string, message: string, effects: RolloutEffect[]): void {
    // Machines on their way back are not left where they are.
    if (!mayFollow(this.row.state, "aborted")) return;
    this.#end("aborted", { reason, message }, this.#leaveAsIs(), effects);
  }

  #expire(effects: RolloutEffect[]): void {
    const assign = this.row.state === "rolling_back" ? undefined : this.#leaveAsIs();
    const facts = { missingRegions: this.missingRegions, waitsFor: this.#waitsFor };
    this.#end("failed", expiry(this.#book, this.#board, facts), assign, effects);
  }

  #leaveAsIs(): AssignPhase | undefined {
    if (this.row.state === "waiting") return undefined;
    return this.#book.wasTouched ? "frozen" : "withdrawn";
  }

  #pause(now: Instant, paused: boolean, effects: RolloutEffect[]): void {
    if (this.row.paused === paused || this.row.state === "rolling_back") return;
    if (paused) this.#clock.stop(now);
    else this.#clock.goOn(now);
    this.#book.change({ paused });
    this.#persist(effects);
    if (this.row.state !== "waiting") this.#assign("open", effects);
  }

  #enter(at: Instant, state: RolloutState, effects: RolloutEffect[]): void {
    this.#book.move(state);
    this.#endsAt = at + this.#stateMsMax(state);
    this.#persist(effects);
  }

  /** How many machines the wave has is known only now, and with it how long it may take. */
  #extend(at: Instant, wave: WaveRow): void {
    this.#book.note(wave);
    this.#endsAt = at + this.#stateMsMax(this.row.state);
  }

  #end(
    state: RolloutState,
    why: { readonly reason: string; readonly message: string },
    assign: AssignPhase | undefined,
    effects: RolloutEffect[],
  ): void {
    this.#run = undefined;
    this.#book.end(state, why, assign, effects);
  }

  #persist(effects: RolloutEffect[]): void {
    this.#book.persist(this.#run?.permits, effects);
  }

  #assign(phase: AssignPhase, effects: RolloutEffect[]): void {
    this.#book.assign(phase, effects);
    this.#run?.unannounced();
  }

  #stateMsMax(state: RolloutState): number {
    const wave = this.#book.wave;
    const machines = wave?.planned ?? 0;
    const together = outMax(this.plan, machines, wave?.matching ?? 0);
    return stateMsMax(state, this.plan, { index: this.row.wave, machines, together });
  }

  #nextLook(at: Instant): Instant {
    const { state, paused } = this.row;
    if (isFinal(state) || paused) return Number.POSITIVE_INFINITY;
    const isMoving = state !== "waiting" && state !== "replicating";
    let next = Math.min(this.#endsAt, isMoving ? at + LOOK_MS : Number.POSITIVE_INFINITY);
    if (state === "baking" && this.#bakedAt > at) next = Math.min(next, this.#bakedAt);
    return this.#clock.instantOf(next);
  }
}
