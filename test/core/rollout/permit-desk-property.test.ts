// Whatever leader and machines do, a desk hands out no permit too many and each comes to an end.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ServicePhase } from "../../../core/fleet/agent-facts.ts";
import { MemberSums } from "../../../core/rollout/member-sums.ts";
import { PermitDesk } from "../../../core/rollout/permit-desk.ts";
import type { DeskAssignment, DeskEffect } from "../../../core/rollout/permit-facts.ts";
import { type KeptPermit, PermitLedger } from "../../../core/rollout/permit-ledger.ts";
import { shareOf, tallyOf } from "../../../core/rollout/permit-tally.ts";
import { WAVE_HASH_END } from "../../../core/rollout/wave-hash.ts";

const ANSWER_MS = 30_000;
const WAVES = [0.3, 0.7, 1].map((share) => ({
  threshold: share * WAVE_HASH_END,
  regions: [],
  labels: {},
}));
const PHASES: readonly ServicePhase[] = [
  "fetching",
  "staged",
  "staged",
  "staged",
  "activating",
  "checking",
  "active",
  "failed",
  "reverting",
  "reverted",
];

const assigned = (over: Partial<DeskAssignment>): DeskAssignment => ({
  epoch: 1,
  revision: 1,
  phase: "open",
  paused: false,
  release: "new",
  fallback: "old",
  waves: WAVES,
  answerMs: ANSWER_MS,
  ...over,
});

/** Sums as they can be compared: a wave that nobody is in counts as one that nobody was in. */
function present({ membersOf, healthyOf, ...sums }: MemberSums) {
  const filled = (counts: readonly number[]) => WAVES.map((_, wave) => counts[wave] ?? 0);
  return { ...sums, membersOf: filled(membersOf), healthyOf: filled(healthyOf) };
}

const agent = fc.integer({ min: 0, max: 7 });
const action = fc.oneof(
  fc.record({ do: fc.constant("stood" as const), agent, phase: fc.constantFrom(...PHASES) }),
  fc.record({ do: fc.constant("staged" as const), agent }),
  fc.record({ do: fc.constant("gone" as const), agent }),
  fc.record({
    do: fc.constant("granted" as const),
    epoch: fc.integer({ min: 1, max: 3 }),
    wave: fc.integer({ min: 0, max: 2 }),
    quota: fc.integer({ min: 0, max: 6 }),
    together: fc.integer({ min: 1, max: 6 }),
  }),
  fc.record({ do: fc.constant("led" as const), epoch: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ do: fc.constant("paused" as const), paused: fc.boolean() }),
  fc.record({ do: fc.constant("passed" as const), ms: fc.integer({ min: 0, max: 8_000 }) }),
  fc.record({ do: fc.constant("restarted" as const) }),
);

/** Runs a desk and checks each permit as it goes out. */
class Checked {
  #desk = new PermitDesk("r-1", "relay-1", [], 0, ANSWER_MS);
  readonly #kept = new Map<string, KeptPermit>();
  readonly #quotas = new Map<string, number>();
  readonly #togethers = new Map<string, number>();
  readonly #staged = new Set<string>();
  #assignment = assigned({});
  #ledUntil = 0;
  now = 0;

  constructor() {
    this.step({ kind: "assigned", assignment: this.#assignment });
  }

  step(input: Parameters<PermitDesk["step"]>[1]): void {
    const effects: DeskEffect[] = [];
    this.#desk.step(this.now, input, effects);
    for (let turns = 0; this.#desk.deadline <= this.now; turns += 1) {
      assert.ok(turns < 100, "the desk wants to be woken for ever");
      this.#desk.step(this.now, { kind: "wake" }, effects);
    }
    for (const effect of effects) this.#perform(effect);
    this.#check();
  }

  #perform(effect: DeskEffect): void {
    const { permit } = effect;
    if (effect.kind === "keep") {
      const others = [...this.#kept.values()].filter(({ agentId }) => agentId === permit.agentId);
      assert.ok(
        others.every(({ state }) => state !== "sent" && state !== "begun"),
        "two at once",
      );
      assert.ok(
        others.every(({ epoch, state }) => epoch !== permit.epoch || state === "returned"),
        "a second permit in one epoch though the first was used",
      );
      assert.ok(!this.#kept.has(permit.id), "an id used twice");
      assert.ok(this.#staged.has(permit.agentId), "not staged");
      const { epoch, wave } = permit;
      const inUse = [...this.#kept.values()].filter(
        (one) =>
          one.epoch === epoch &&
          one.wave === wave &&
          (one.state === "sent" || one.state === "begun" || one.state === "failed"),
      );
      const most = this.#togethers.get(`${epoch}/${wave}`) ?? 0;
      assert.ok(inUse.length < most, "too many out or failed");
    }
    if (effect.kind === "send") {
      assert.ok(this.#kept.has(permit.id), "sent before it was kept");
      assert.ok(this.now < this.#ledUntil, "no living leader");
      assert.ok(!this.#assignment.paused, "paused");
    }
    this.#kept.set(permit.id, permit);
  }

  #check(): void {
    const counts = new Map<string, number>();
    for (const { epoch, wave } of this.#kept.values()) {
      counts.set(`${epoch}/${wave}`, (counts.get(`${epoch}/${wave}`) ?? 0) + 1);
    }
    for (const [key, count] of counts) assert.ok(count <= (this.#quotas.get(key) ?? 0), "quota");
    const tally = tallyOf(this.#desk, 100);
    const anew = new MemberSums();
    for (const [id, one] of this.#desk.members) anew.count(id, shareOf(this.#desk, one));
    assert.deepEqual(present(this.#desk.sums), present(anew));
    const { fetching, staged, activating, active, failed, reverted, matching } = tally;
    assert.equal(fetching + staged + activating + active + failed + reverted, matching);
    for (const wave of tally.waves) {
      const kept = [...this.#kept.values()].filter(
        (permit) => permit.wave === wave.wave && permit.epoch === wave.epoch,
      );
      assert.equal(wave.granted, kept.length);
      assert.equal(wave.succeeded + wave.failed + wave.outstanding + wave.returned, wave.granted);
    }
  }

  do(next: typeof action extends fc.Arbitrary<infer Action> ? Action : never): void {
    switch (next.do) {
      case "stood":
        this.#stand(next.agent, next.phase);
        break;
      case "staged":
        this.#stand(next.agent, "staged");
        break;
      case "gone":
        this.#staged.delete(`agent-${next.agent}`);
        this.step({ kind: "gone", agentId: `agent-${next.agent}` });
        break;
      case "granted": {
        const key = `${next.epoch}/${next.wave}`;
        this.#quotas.set(key, Math.max(next.quota, this.#quotas.get(key) ?? 0));
        this.#togethers.set(key, Math.max(next.together, this.#togethers.get(key) ?? 0));
        const { epoch, wave, quota, together } = next;
        this.step({ kind: "granted", epoch, wave, quota, together, ttlMs: 5_000 });
        break;
      }
      case "led":
        this.#ledUntil = this.now + 3_000;
        this.step({ kind: "led", epoch: next.epoch, until: this.#ledUntil });
        break;
      case "paused":
        this.#assignment = assigned({ paused: next.paused });
        this.step({ kind: "assigned", assignment: this.#assignment });
        break;
      case "passed":
        this.pass(next.ms);
        break;
      case "restarted":
        this.#restart();
        break;
      default:
        next satisfies never;
    }
  }

  pass(ms: number): void {
    const end = this.now + ms;
    while (this.#desk.deadline <= end) {
      this.now = this.#desk.deadline;
      this.step({ kind: "wake" });
    }
    this.now = end;
  }

  permits(): number {
    return this.#kept.size;
  }

  outstanding(): number {
    const states = [...this.#kept.values()].map(({ state }) => state);
    return states.filter((state) => state === "sent" || state === "begun").length;
  }

  #stand(index: number, phase: ServicePhase): void {
    const agentId = `agent-${index}`;
    if (phase === "staged") this.#staged.add(agentId);
    else this.#staged.delete(agentId);
    const running = phase === "active" || phase === "checking" ? "new" : "old";
    const bytes = { relay: 0, peer: 0, local: 0 };
    const standing = {
      rollout: "r-1",
      running,
      phase,
      permit: "",
      error: "",
      bytes,
      missingBytes: 0,
    };
    const candidate = { agentId, region: "eu", labels: {} };
    this.step({ kind: "stood", candidate, standing, connected: false });
  }

  #restart(): void {
    this.#staged.clear();
    this.#desk = new PermitDesk("r-1", "relay-1", [...this.#kept.values()], this.now, ANSWER_MS);
    this.#ledUntil = this.now;
    this.step({ kind: "assigned", assignment: this.#assignment });
  }
}

test("never more permits than granted, one at a time for a machine, and each ends", () => {
  let handedOut = 0;
  fc.assert(
    fc.property(fc.array(action, { minLength: 20, maxLength: 80 }), (actions) => {
      const checked = new Checked();
      for (const next of actions) checked.do(next);
      checked.pass(5_000 + ANSWER_MS + 2_000);
      assert.equal(checked.outstanding(), 0);
      handedOut += checked.permits();
    }),
    { numRuns: 1_500 },
  );
  assert.ok(handedOut > 300, `only ${handedOut} permits in all runs`);
});

test("a ledger's counts are those of its permits", () => {
  const ledger = new PermitLedger();
  const permit = ledger.enter(
    { id: "p", agentId: "a", epoch: 1, wave: 0, ttlMs: 1, state: "sent" },
    1,
    2,
  );
  assert.deepEqual(ledger.expired(0), []);
  assert.deepEqual(ledger.expired(1), [permit]);
  ledger.move(permit, "returned");
  assert.equal(ledger.counts(1, 0).returned, 1);
  assert.equal(ledger.holds("a"), false);
});
