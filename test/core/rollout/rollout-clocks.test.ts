// A rollout's states and their clocks as a transcript: what it is told, what it commands, how it ends.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  REPLICATING_MS_MAX,
  ROLLING_BACK_MS_MAX,
  WAITING_MS_MAX,
} from "../../../core/rollout/lifecycle.ts";
import { Rollout } from "../../../core/rollout/rollout.ts";
import type { RolloutEffect, RolloutInput } from "../../../core/rollout/rollout-facts.ts";
import {
  newRolloutRow,
  type RolloutPlan,
  type RolloutRow,
} from "../../../core/rollout/rollout-row.ts";
import type { Tally } from "../../../core/rollout/tally.ts";

const PLAN: RolloutPlan = {
  id: "r-0123456789abcdef",
  waves: [{ percent: 100, regions: [], labels: {}, bakeMs: 10_000 }],
  failuresPercent: 50,
  maxUnavailablePercent: 100,
  sampleMin: 0,
  targets: {},
  excludedRegions: [],
  answerMs: 20_000,
  hasFallback: true,
};

/** A rollout with one relay and two machines, told fact by fact. */
class Scene {
  now = 0;
  readonly rollout: Rollout;
  #revision = 0;
  #quota = 0;

  constructor(row: RolloutRow = newRolloutRow(false), plan: Partial<RolloutPlan> = {}) {
    this.rollout = new Rollout({ ...PLAN, ...plan }, row, 7);
    this.tell({ kind: "started", relays: ["relay"] });
  }

  get state(): string {
    const { state, reason } = this.rollout.row;
    return reason === "" ? state : `${state}: ${reason}`;
  }

  /** Tells a fact, answers what follows from it as a store and a relay would, and gives the commands. */
  tell(fact: RolloutInput): string[] {
    const effects: RolloutEffect[] = [];
    this.rollout.step(this.now, fact, effects);
    const said = effects.map(({ kind }) => kind as string);
    for (const effect of effects) {
      if (effect.kind === "assign") {
        this.#revision += 1;
        const { serial } = effect;
        said.push(...this.tell({ kind: "assigned", serial, revision: this.#revision }));
      } else if (effect.kind === "census") {
        const count = { counts: [], lowest: [1, 2], total: 2 };
        const { query } = effect;
        said.push(...this.tell({ kind: "census-answered", relay: "relay", query, count }));
      } else if (effect.kind === "grant") this.#quota = effect.quota;
    }
    return said;
  }

  /** The relay joins and everything is replicated. */
  begin(): void {
    this.tell({ kind: "relay-joined", relay: "relay", region: "eu", boot: "1", settleMs: 0 });
    this.tell({ kind: "replicated", missing: [] });
  }

  report(counts: Partial<Tally> & { succeeded?: number; failedPermits?: number }): string[] {
    const { succeeded = 0, failedPermits = 0, ...more } = counts;
    const { activating = 0, active = 0, failed = 0 } = more;
    const used = Math.max(succeeded, activating + active + Math.max(failed, failedPermits));
    const granted = Math.min(this.#quota, used);
    const permits = { granted, succeeded, failed: failedPermits, returned: 0 };
    const wave = { wave: 0, members: 2, healthy: more.active ?? 0, epoch: 7, ...permits };
    const nothing = { fetching: 0, staged: 0, activating: 0, active: 0, failed: 0, reverted: 0 };
    const about = {
      epoch: 7,
      revision: this.#revision,
      isRollback: false,
      isClosed: false,
      matching: 2,
    };
    const tally = { ...about, ...nothing, toRevert: 0, waves: [wave], ...more };
    return this.tell({ kind: "relay-reported", relay: "relay", tally });
  }

  /** Time passes, with a wake whenever one is due. */
  pass(ms: number): void {
    const until = this.now + ms;
    while (this.rollout.deadline <= until) {
      this.now = Math.max(this.now, this.rollout.deadline);
      this.tell({ kind: "wake" });
    }
    this.now = until;
  }
}

test("it waits its turn, replicates, activates, bakes and succeeds", () => {
  const scene = new Scene(newRolloutRow(true));
  assert.equal(scene.state, "waiting");
  assert.deepEqual(scene.tell({ kind: "turn-came" }), ["persist", "assign"]);
  assert.equal(scene.state, "replicating");
  scene.begin();
  assert.equal(scene.state, "activating");
  assert.deepEqual(scene.report({ staged: 2 }), ["persist", "grant"]);
  assert.deepEqual(scene.report({ activating: 1, staged: 1 }), []);
  assert.deepEqual(scene.report({ active: 1, staged: 1, succeeded: 1 }), [], "the relay goes on");
  assert.deepEqual(scene.report({ active: 2, succeeded: 2 }), ["persist"]);
  assert.equal(scene.state, "baking");
  scene.pass(9_999);
  assert.equal(scene.state, "baking");
  scene.report({ active: 2, succeeded: 2 });
  scene.pass(1);
  assert.deepEqual(scene.tell({ kind: "wake" }), []);
  assert.equal(scene.state, "succeeded");
});

test("a region that does not hold every pack in ten minutes fails it, by name", () => {
  const scene = new Scene();
  scene.tell({ kind: "replicated", missing: ["eu", "us"] });
  scene.pass(REPLICATING_MS_MAX - 1);
  assert.equal(scene.state, "replicating");
  scene.pass(1);
  assert.equal(scene.state, "failed: replication");
  assert.match(scene.rollout.row.message, /eu, us/);
});

test("every state ends: waiting, activating without an answer, baking in silence, rolling back", () => {
  const waiting = new Scene(newRolloutRow(true));
  waiting.pass(WAITING_MS_MAX);
  assert.equal(waiting.state, "failed: deadline");

  const silent = new Scene();
  silent.begin();
  silent.report({ staged: 2 });
  silent.pass(60_000);
  assert.equal(silent.state, "rolling_back: budget", "unanswered permits count as failed");
  silent.pass(ROLLING_BACK_MS_MAX);
  assert.equal(silent.state, "failed: deadline");

  const unstaged = new Scene();
  unstaged.begin();
  unstaged.report({ fetching: 2 });
  unstaged.pass(3600_000);
  assert.equal(unstaged.state, "failed: deadline");

  const waves = PLAN.waves.map((wave) => ({ ...wave, bakeMs: 60_000 }));
  const baking = new Scene(newRolloutRow(false), { waves });
  baking.begin();
  baking.report({ staged: 2 });
  baking.report({ active: 1, staged: 1, succeeded: 1 });
  baking.report({ active: 2, succeeded: 2 });
  baking.pass(3600_000);
  assert.equal(baking.state, "failed: deadline", "a relay's old word is no health");
});

test("a gate that waits to its deadline says what for", () => {
  const cases: { readonly last: Parameters<Scene["report"]>[0]; readonly why: RegExp }[] = [
    { last: { fetching: 2 }, why: /^activating .* deadline: 0 of 2 answers have come$/ },
    // As where a machine is replaced by an empty one, which another relay then serves.
    {
      last: { active: 1, fetching: 1, succeeded: 2 },
      why: /^baking .* deadline: machines that became healthy and are not known to be now: 1$/,
    },
  ];
  for (const { last, why } of cases) {
    const scene = new Scene(newRolloutRow(false), { failuresPercent: 0 });
    scene.begin();
    if (last.succeeded !== undefined) {
      scene.report({ staged: 2 });
      scene.report({ active: 1, staged: 1, succeeded: 1 });
      scene.report({ active: 2, succeeded: 2 });
    }
    scene.report(last);
    scene.pass(3600_000);
    assert.equal(scene.state, "failed: deadline");
    assert.match(scene.rollout.row.message, why);
  }
});

test("a pause stops every clock", () => {
  const replicating = new Scene();
  replicating.tell({ kind: "replicated", missing: ["eu"] });
  replicating.pass(1_000);
  replicating.tell({ kind: "paused" });
  replicating.pass(10 * REPLICATING_MS_MAX);
  assert.equal(replicating.state, "replicating");
  replicating.tell({ kind: "resumed" });
  replicating.pass(REPLICATING_MS_MAX - 1_001);
  assert.equal(replicating.state, "replicating");
  replicating.pass(1);
  assert.equal(replicating.state, "failed: replication");

  const activating = new Scene();
  activating.begin();
  activating.tell({ kind: "paused" });
  assert.deepEqual(activating.report({ staged: 2 }), []);
  assert.deepEqual(activating.tell({ kind: "resumed" }).slice(0, 2), ["persist", "assign"]);
  assert.deepEqual(activating.report({ staged: 2 }), ["persist", "grant"]);
});

test("over the budget all go back; where there was nothing to go back to it has failed", () => {
  for (const [hasFallback, end] of [
    [true, "rolled_back: budget"],
    [false, "failed: no_last_good"],
  ] as const) {
    const scene = new Scene(newRolloutRow(false), { hasFallback, failuresPercent: 1 });
    scene.begin();
    scene.report({ staged: 2 });
    scene.report({ failed: 1, staged: 1, failedPermits: 1 });
    assert.equal(scene.state, "rolling_back: budget");
    scene.report({ isRollback: false });
    scene.report({ isRollback: true, toRevert: 1 });
    assert.equal(scene.state, "rolling_back: budget", "one is not back yet");
    scene.report({ isRollback: true, reverted: 1 });
    assert.equal(scene.state, end);
  }
});

test("aborted before the first permit it is withdrawn, after that machines stay as they are", () => {
  const early = new Scene();
  early.tell({ kind: "aborted" });
  assert.equal(early.state, "aborted: aborted");
  const late = new Scene();
  late.begin();
  late.report({ staged: 2 });
  late.tell({ kind: "superseded" });
  assert.equal(late.state, "aborted: superseded");
  const back = new Scene();
  back.begin();
  back.report({ staged: 2 });
  back.tell({ kind: "rolled-back-by-hand" });
  back.tell({ kind: "aborted" });
  assert.equal(back.state, "rolling_back: by_hand", "machines on their way back are not left");
});

test("a new leader counts what was granted and not reported as spent", () => {
  const before = new Scene(newRolloutRow(false), { failuresPercent: 50 });
  before.begin();
  before.report({ staged: 2 });
  const { row } = before.rollout;
  assert.deepEqual(
    row.ledgers.map(({ epoch, quota, together }) => [epoch, quota, together]),
    [[7, 2, 1]],
  );
  const next = new Rollout({ ...PLAN, failuresPercent: 50 }, row, 8);
  const effects: RolloutEffect[] = [];
  next.step(0, { kind: "started", relays: [] }, effects);
  next.step(0, { kind: "assigned", serial: 1, revision: 9 }, effects);
  next.step(
    0,
    { kind: "relay-joined", relay: "relay", region: "eu", boot: "1", settleMs: 0 },
    effects,
  );
  const permits = { granted: 1, succeeded: 0, failed: 0, returned: 0 };
  const wave = { wave: 0, members: 2, healthy: 0, epoch: 7, ...permits };
  const nothing = { fetching: 0, staged: 1, activating: 1, active: 0, failed: 0, reverted: 0 };
  const about = {
    epoch: 8,
    revision: 9,
    isRollback: false,
    isClosed: false,
    matching: 2,
    toRevert: 0,
  };
  const tally = { ...about, ...nothing, waves: [wave] };
  effects.length = 0;
  next.step(1, { kind: "relay-reported", relay: "relay", tally }, effects);
  assert.deepEqual(effects, [], "one may be out at once, and one is");
  const answered = { ...wave, succeeded: 1, healthy: 1 };
  const later = { ...tally, activating: 0, active: 1, waves: [answered] };
  next.step(2, { kind: "relay-reported", relay: "relay", tally: later }, effects);
  assert.deepEqual(
    effects.map(({ kind }) => kind),
    ["persist", "grant"],
  );
});

test("with no machine online that matches it succeeds, and says so", () => {
  const rollout = new Rollout(PLAN, newRolloutRow(false), 1);
  const effects: RolloutEffect[] = [];
  rollout.step(0, { kind: "started", relays: [] }, effects);
  rollout.step(
    0,
    { kind: "relay-joined", relay: "a", region: "eu", boot: "1", settleMs: 0 },
    effects,
  );
  rollout.step(0, { kind: "replicated", missing: [] }, effects);
  const count = { counts: [], lowest: [], total: 0 };
  rollout.step(1, { kind: "census-answered", relay: "a", query: 1, count }, effects);
  assert.equal(rollout.row.state, "succeeded");
  assert.match(rollout.row.message, /no machine matches/);
  assert.equal(effects.filter(({ kind }) => kind === "assign").length, 2);
});
