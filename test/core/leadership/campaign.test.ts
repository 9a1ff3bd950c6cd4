// Whatever happens to replicas and to the way to the store, no two lead at any instant of the store's clock,
// each term has a higher epoch, and soon after the last fault there is a leader that stays.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  Campaign,
  type CampaignEffect,
  type CampaignInput,
  LEADER_TIMES,
} from "../../../core/leadership/campaign.ts";
import { type CampaignFault, CampaignWorld, type CampaignWorldOptions } from "./campaign-world.ts";

const SPAN_MS = 60_000;
/**
 * Without faults there is a leader after: the lease of the one before, a rest of whoever resigned last, a look
 * for a watch that was silent, one call that is not answered, and the tries.
 */
const LEADER_MS_MAX = 3_000 + LEADER_TIMES.ttlMs + LEADER_TIMES.restMs + LEADER_TIMES.ttlMs + 2_000;
/** How far clocks differ in speed; the margin covers a sixth. */
const SPEED = 0.05;

const fault: fc.Arbitrary<CampaignFault> = fc.record({
  at: fc.integer({ min: 0, max: SPAN_MS }),
  lastsMs: fc.integer({ min: 0, max: 15_000 }),
  replica: fc.nat(3),
  kind: fc.constantFrom("paused", "cut", "mute", "resigns"),
});
const world: fc.Arbitrary<CampaignWorldOptions> = fc.record({
  speeds: fc.array(fc.double({ min: 1 - SPEED, max: 1 + SPEED, noNaN: true }), {
    minLength: 1,
    maxLength: 4,
  }),
  faults: fc.array(fault, { maxLength: 12 }),
  seed: fc.integer(),
});

test("faults 2 and 3 and 6: whatever is paused, cut off or without answers, one leads at most, and soon one does", () => {
  let termsMax = 0;
  fc.assert(
    fc.property(world, (options) => {
      const run = new CampaignWorld(options);
      const healedAt = Math.max(0, ...options.faults.map(({ at, lastsMs }) => at + lastsMs));
      const end = healedAt + LEADER_MS_MAX + 30_000;
      let ledSince: number | undefined;
      // Looked at between events too: time alone ends a term.
      for (let tick = 0; tick < end; tick += 50) run.time.in(tick, () => {});
      run.time.run(
        end,
        () => false,
        () => {
          const { believers, holder } = run;
          assert.ok(believers.length <= 1, `${believers} lead at ${run.time.now}`);
          if (believers[0] !== undefined) assert.equal(holder, believers[0], "as the store has it");
          if (believers.length === 0) ledSince = undefined;
          else ledSince ??= run.time.now;
        },
      );
      assert.ok(ledSince !== undefined && ledSince <= healedAt + LEADER_MS_MAX, `led: ${ledSince}`);
      const epochs = run.terms.map(({ epoch }) => epoch);
      assert.deepEqual(
        epochs,
        [...new Set(epochs)].sort((a, b) => a - b),
      );
      termsMax = Math.max(termsMax, epochs.length);
    }),
    { numRuns: 300 },
  );
  assert.ok(termsMax > 3, "leaders changed");
});

test("faults 2 and 3: a leader that stands still is followed within 4 s", () => {
  let slowestMs = 0;
  for (let seed = 1; seed <= 100; seed += 1) {
    const first = leaderAt(9_000, { speeds: [1, 1, 1], faults: [], seed });
    const fault = {
      at: 10_000 + seed * 10,
      lastsMs: 60_000,
      replica: first,
      kind: "paused",
    } as const;
    const run = new CampaignWorld({ speeds: [1, 1, 1], faults: [fault], seed });
    assert.ok(
      run.time.run(
        60_000,
        () => run.terms.length === 2,
        () => {},
      ),
    );
    assert.notEqual(run.terms[1]?.replica, first);
    slowestMs = Math.max(slowestMs, run.time.now - fault.at);
  }
  // The lease, what is left until the watch tells, a grant and a run: three ways there and back.
  assert.ok(slowestMs > 2_000 && slowestMs < LEADER_TIMES.ttlMs + 1_000, `${slowestMs} ms`);
});

test("fault 16: a store whose disk takes a second for each write keeps its leader", () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const run = new CampaignWorld({ speeds: [1, 0.97, 1.03], faults: [], seed, diskMs: 1_000 });
    run.time.run(
      60_000,
      () => false,
      () => {},
    );
    assert.equal(run.terms.length, 1, `seed ${seed}`);
    assert.deepEqual(run.believers, [run.holder], `seed ${seed}`);
  }
});

test("a leader stops before its lease can end, and on each word that another leads", () => {
  const { ttlMs, marginMs } = LEADER_TIMES;
  assert.deepEqual(led([], ttlMs - marginMs - 1), ["lead 7", "keep-alive"]);
  assert.deepEqual(led([{ kind: "wake" }], ttlMs - marginMs), STOPPED("not-confirmed"));
  const kept = { kind: "kept", lease: "l", askedAt: 1_000 } as const;
  assert.equal(campaignThat([kept]).leadsAt(1_000 + ttlMs - marginMs - 1), true);
  assert.equal(campaignThat([kept]).leadsAt(1_000 + ttlMs - marginMs), false);
  const seen = (lease: string | undefined, revision: number): CampaignInput => ({
    kind: "leader-seen",
    lease,
    revision,
  });
  assert.deepEqual(
    led([seen(undefined, 5)]),
    ["lead 7", "keep-alive"],
    "seen before it was elected",
  );
  assert.deepEqual(led([seen("l", 6)]), ["lead 7", "keep-alive"]);
  assert.deepEqual(led([seen(undefined, 9)]), STOPPED("replaced"));
  assert.deepEqual(led([seen("other", 9)]), STOPPED("replaced"));
  assert.deepEqual(led([{ kind: "lease-lost", lease: "l" }]), STOPPED("lease-lost"));
  assert.deepEqual(led([{ kind: "lease-lost", lease: "older" }]), ["lead 7", "keep-alive"]);
  assert.deepEqual(led([{ kind: "fenced", epoch: 7 }]), STOPPED("fenced"));
  assert.deepEqual(led([{ kind: "fenced", epoch: 6 }]), ["lead 7", "keep-alive"]);
  assert.deepEqual(led([{ kind: "resign-asked" }]), STOPPED("resigned"));
});

test("who resigned rests; what comes after the end is given back", () => {
  const campaign = campaignThat([{ kind: "resign-asked" }]);
  const effects: CampaignEffect[] = [];
  campaign.step(0, { kind: "leader-seen", lease: undefined, revision: 20 }, effects);
  assert.deepEqual(effects, []);
  campaign.step(LEADER_TIMES.restMs, { kind: "wake" }, effects);
  assert.deepEqual(words(effects), ["look", "grant"]);
  const late: CampaignEffect[] = [];
  campaign.step(LEADER_TIMES.restMs, { kind: "stopped" }, late);
  campaign.step(LEADER_TIMES.restMs, { kind: "lease-granted", lease: "m" }, late);
  assert.deepEqual(late, [{ kind: "revoke", lease: "m" }]);
  assert.equal(campaign.deadline, Number.POSITIVE_INFINITY);
});

const STOPPED = (reason: string): string[] => [
  "lead 7",
  "keep-alive",
  `step-down ${reason}`,
  "revoke",
];

/** What a leader elected at 0, revision 6, epoch 7, does on these facts. */
function led(inputs: readonly CampaignInput[], now = 0): string[] {
  const effects: CampaignEffect[] = [];
  campaignThat(inputs, now, effects);
  return words(effects);
}

function campaignThat(
  inputs: readonly CampaignInput[],
  now = 0,
  effects: CampaignEffect[] = [],
): Campaign {
  const campaign = new Campaign(LEADER_TIMES);
  campaign.step(0, { kind: "leader-seen", lease: undefined, revision: 5 }, []);
  campaign.step(0, { kind: "lease-granted", lease: "l" }, []);
  campaign.step(0, { kind: "elected", lease: "l", epoch: 7, revision: 6 }, effects);
  for (const input of inputs) campaign.step(now, input, effects);
  return campaign;
}

function words(effects: readonly CampaignEffect[]): string[] {
  return effects.map((effect) => {
    if (effect.kind === "lead") return `lead ${effect.epoch}`;
    if (effect.kind === "step-down") return `step-down ${effect.reason}`;
    return effect.kind;
  });
}

/** Who leads at that time where nothing happens. */
function leaderAt(at: number, options: CampaignWorldOptions): number {
  const run = new CampaignWorld(options);
  run.time.run(
    at,
    () => false,
    () => {},
  );
  const [leader] = run.believers;
  assert.ok(leader !== undefined);
  return leader;
}
