// Whatever the order of facts, failures and crashes: the machine never switches without leave, never
// has neither the old nor the new release in place, and comes to what the last assignment says.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type {
  Assignment,
  AssignmentPhase,
  Effect,
  Input,
} from "../../../core/fleet/agent-facts.ts";
import { EMPTY_JOURNAL, type Journal } from "../../../core/fleet/agent-journal.ts";
import { ServiceMachine } from "../../../core/fleet/agent-machine.ts";
import type { Step } from "../../../core/fleet/agent-switch.ts";
import type { Runnable } from "../../../core/fleet/runnable.ts";
import { WAVE_HASH_END } from "../../../core/rollout/wave-hash.ts";
import { CANDIDATE } from "./agent-transcript.ts";

const RELEASES = ["a", "b", "c"];
const STEPS_MAX = 400;

type Move =
  | { readonly kind: "assign"; readonly release: string; readonly phase: AssignmentPhase }
  | { readonly kind: "phase"; readonly phase: AssignmentPhase }
  | { readonly kind: "permit" | "perform" | "stage" | "wake" }
  | { readonly kind: "fail"; readonly hopeless: boolean }
  | { readonly kind: "die"; readonly release: string }
  /** Effects that are still performed before the process is gone. */
  | { readonly kind: "crash"; readonly performed: number; readonly power: boolean };

const phase = fc.constantFrom<AssignmentPhase>("open", "final", "rollback", "frozen");
const release = fc.constantFrom(...RELEASES);
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("assign" as const), release, phase }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("phase" as const), phase }) },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constantFrom("permit", "perform", "stage", "wake"),
    }) as fc.Arbitrary<Move>,
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("fail" as const), hopeless: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("die" as const), release }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("crash" as const),
      performed: fc.nat(4),
      power: fc.boolean(),
    }),
  },
);

/** The disk and the processes of a machine, and one life of its agent after the other. */
class World {
  readonly disk = new Set<string>();
  readonly running = new Set<string>();
  readonly #port: number;
  pointed: string | undefined;
  #journal: Journal = EMPTY_JOURNAL;
  #machine!: ServiceMachine;
  #now = 0;
  #revision = 0;
  #rollout = 0;
  #permits = 0;
  #assignment: Assignment | undefined;
  #pending: { number: number; step: Step } | undefined;
  #staging: string | undefined;
  /** Effects left until the crash; undefined: none is near. */
  #effectsLeft: number | undefined;
  /** Something outside of the agent ended or kept down a process, and none has come up since. */
  #died = false;

  constructor(port: number) {
    this.#port = port;
    this.#boot();
  }

  play(move: Move): void {
    switch (move.kind) {
      case "assign":
        this.#rollout += 1;
        this.#assign(move.release, move.phase);
        break;
      case "phase":
        if (this.#assignment === undefined) return;
        this.#assign(this.#assignment.release?.release ?? "", move.phase);
        break;
      case "permit":
        this.#permit();
        break;
      case "perform":
        this.#perform(undefined);
        break;
      case "fail":
        if (this.#staging === undefined) this.#perform("failed");
        else this.#failStaging(this.#staging, move.hopeless);
        break;
      case "stage":
        this.#stage();
        break;
      case "wake":
        this.#wake();
        break;
      case "die":
        if (!this.running.delete(move.release)) return;
        this.#died = true;
        this.#input({ kind: "exited", release: move.release, detail: "died" });
        break;
      case "crash":
        this.#effectsLeft = move.performed;
        if (move.power) this.#cutPower();
        if (move.performed === 0 || move.power) this.#boot();
        break;
    }
  }

  /** No more trouble: everything asked for is done, until nothing is left to do. */
  settle(): void {
    this.#effectsLeft = undefined;
    for (let i = 0; i < STEPS_MAX; i += 1) {
      if (this.#pending !== undefined) this.#perform(undefined);
      else if (this.#staging !== undefined) this.#stage();
      else if (this.#machine.deadline !== Number.POSITIVE_INFINITY) this.#wake();
      else return;
    }
    assert.fail("it never comes to rest");
  }

  final(release: string): void {
    this.#rollout += 1;
    this.#assign(release, "final");
  }

  #cutPower(): void {
    this.running.clear();
    this.#died = true;
  }

  #boot(): void {
    this.#effectsLeft = undefined;
    this.#pending = undefined;
    this.#staging = undefined;
    const journal = this.#journal;
    this.#machine = new ServiceMachine({ candidate: CANDIDATE, journal, keepReleases: 1 });
    const findings = { onDisk: [...this.disk], running: [...this.running], pointed: this.pointed };
    this.#input({ kind: "booted", findings });
    if (this.#assignment !== undefined) this.#sendOrders(this.#assignment);
  }

  #assign(release: string, phase: AssignmentPhase): void {
    const runnable = (id: string): Runnable => ({
      release: id,
      way: { kind: "process", port: this.#port },
    });
    this.#revision += 1;
    this.#assignment = {
      rollout: `r-${this.#rollout}`,
      release: runnable(release),
      fallback: undefined,
      targets: { labels: {}, excludedRegions: [] },
      phase,
      waves: [{ threshold: WAVE_HASH_END, regions: [], labels: {} }],
      paused: false,
      keep: 0,
    };
    this.#sendOrders(this.#assignment);
  }

  #sendOrders(assignment: Assignment): void {
    const orders = { epoch: 1, revision: this.#revision, assignments: [assignment] };
    this.#input({ kind: "assigned", orders });
  }

  #permit(): void {
    if (this.#assignment === undefined) return;
    const { rollout, release } = this.#assignment;
    this.#permits += 1;
    const id = `p-${rollout}-${this.#permits}`;
    const permit = { id, rollout, epoch: 1, wave: 0, ttlMs: 1000, release: release?.release ?? "" };
    this.#input({ kind: "permitted", permit });
  }

  #stage(): void {
    const release = this.#staging;
    if (release === undefined) return;
    this.#staging = undefined;
    this.disk.add(release);
    this.#input({ kind: "staged", release });
  }

  #failStaging(release: string, hopeless: boolean): void {
    this.#staging = undefined;
    this.#input({ kind: "staging-failed", release, error: "cannot be had", hopeless });
  }

  #wake(): void {
    if (this.#machine.deadline === Number.POSITIVE_INFINITY) return;
    this.#now = Math.max(this.#now, this.#machine.deadline);
    this.#input({ kind: "wake" });
    assert.ok(this.#machine.deadline > this.#now, "a deadline that is over is not left standing");
  }

  #perform(error: string | undefined): void {
    if (this.#pending === undefined) return;
    const { number, step } = this.#pending;
    this.#pending = undefined;
    let failure = error;
    if (step.do === "check" && !this.running.has(step.release)) failure = "not running";
    const isStart = step.do === "start" || step.do === "hand-over";
    if (failure !== undefined && isStart) this.#died = true;
    if (failure === undefined || step.do === "stop" || step.do === "point") this.#apply(step);
    const known = failure !== undefined && (step.do === "stop" || step.do === "point");
    this.#input({ kind: "performed", number, error: known ? undefined : failure });
  }

  #apply(step: Step): void {
    switch (step.do) {
      case "start":
        assert.ok(this.disk.has(step.release), `${step.release} is started but not on disk`);
        this.running.add(step.release);
        return;
      case "hand-over":
        assert.ok(this.disk.has(step.to), `${step.to} is started but not on disk`);
        this.running.delete(step.from);
        this.running.add(step.to);
        return;
      case "stop":
        this.running.delete(step.release);
        return;
      case "point":
        this.pointed = step.release;
        return;
      case "check":
      case "run-hook":
        return;
    }
  }

  #input(input: Input): void {
    const effects: Effect[] = [];
    this.#machine.step(this.#now, input, effects);
    for (const effect of effects) {
      if (this.#effectsLeft === 0) {
        this.#boot();
        return;
      }
      if (this.#effectsLeft !== undefined) this.#effectsLeft -= 1;
      this.#carryOut(effect);
      this.#assertSafe();
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case "persist":
        this.#assertLeave(effect.journal.switching);
        this.#journal = effect.journal;
        return;
      case "stage":
        this.#staging = effect.release;
        return;
      case "unstage":
        this.#staging = undefined;
        return;
      case "perform":
        this.#pending = { number: effect.number, step: effect.step };
        return;
      case "restart":
        assert.ok(this.disk.has(effect.release));
        this.running.add(effect.release);
        return;
      case "reap":
        this.running.delete(effect.release);
        return;
      case "repoint":
        this.pointed = effect.release;
        return;
      case "collect":
        for (const known of this.disk) {
          if (effect.keep.includes(known)) continue;
          assert.ok(!this.running.has(known), `${known} runs and is collected`);
          assert.notEqual(this.pointed, known);
          this.disk.delete(known);
        }
        return;
      case "watch":
      case "report":
      case "refuse":
        return;
    }
  }

  /** While a rollout is open, a switch that begins has a permit. */
  #assertLeave(switching: Journal["switching"]): void {
    if (switching === undefined || this.#journal.switching !== undefined) return;
    if (this.#assignment?.phase === "open") assert.notEqual(switching.permit, "");
    assert.notEqual(this.#assignment?.phase, "frozen");
  }

  #assertSafe(): void {
    const { current, switching } = this.#journal;
    const allowed = [current, switching?.from, switching?.to].map((known) => known?.release);
    assert.ok(allowed.includes(this.pointed), `current points to ${this.pointed}`);
    if (this.pointed !== undefined) assert.ok(this.disk.has(this.pointed));
    if (this.running.size > 0) this.#died = false;
    // Back from a first release is back to nothing.
    const isEnding = switching?.direction === "forward" && switching.to === undefined;
    if (this.#died || current === undefined || isEnding) return;
    assert.ok(this.running.size > 0, "neither the old nor the new release runs");
  }
}

for (const [name, port] of [
  ["a free port", 0],
  ["a fixed port", 80],
] as const) {
  test(`faults 13 and 25: any order of facts, failures and crashes, with ${name}`, () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), release, (moves, last) => {
        const world = new World(port);
        for (const each of moves) world.play(each);
        world.settle();
        world.final(last);
        world.settle();
        assert.equal(world.pointed, last);
        assert.deepEqual([...world.running], [last]);
      }),
      { numRuns: 1000 },
    );
  });
}
