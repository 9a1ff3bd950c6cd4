// Whole fleets in virtual time: what becomes of a release under each fault, that a seed gives the same run, and
// that the estimate of waves is near what the machines of production make of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { waveTimes } from "../../core/estimate/wave-time.ts";
import { type Change, simulated } from "./fleet-world.ts";

/** A machine starts and stops processes beside being checked. */
const SWITCH_MS = 300;
/** Mean of a log-normal distribution with p50 4 s and p99 12 s; the slowest of some hundreds. */
const HEALTH = { meanMs: 4_470, mostMs: 16_000 };
/** Of machines that all take a second, so that what is around a wave counts. */
const QUICK = { meanMs: 1_000, mostMs: 1_000 };

test("fault 34: the same seed gives the same run of a fleet, another seed another", () => {
  const trace = (seed: number) => simulated({}, seed).summary.trace;
  assert.equal(trace(1), trace(1));
  assert.notEqual(trace(1), trace(2));
});

test("a release comes to every machine, and its phases add up to its time", () => {
  const { summary, request, world } = simulated();
  assert.equal(summary.verdict, "met");
  assert.equal(request.active, 400);
  const phases = Object.values(summary.phases).reduce((sum, { last_s }) => sum + last_s, 0);
  assert(Math.abs(phases - summary.last_active_s) < 1e-6);
  assert(world.agents.every(({ standing }) => standing.running === "b-0.1"));
  const { took_ms, pack_ms, bound_ms, whole_over_bound } = summary.distribution;
  assert(took_ms !== undefined && pack_ms !== undefined && bound_ms !== undefined);
  assert.equal(summary.distribution_over_bound, (took_ms - pack_ms) / bound_ms);
  assert((whole_over_bound as number) >= 1, `${whole_over_bound}`);
});

test("what held the slowest up is what took them longer than others, with what they met", () => {
  const causes = (change: object) =>
    simulated(change as Change).summary.slowest.map(({ cause }) => cause);
  // Far between, they differ in nothing so much as in their builds.
  const far = { requests: 10, hours: 3 };
  const build = { workers: 20, p50_s: 60, p99_s: 600 };
  assert.deepEqual(causes({ load: far, build }), ["longer build than the median"]);
  // At once, with one worker for all, whoever comes last waits the longest.
  const close = { requests: 20, hours: 0.01, services: 20 };
  assert.deepEqual(causes({ load: close, build: { workers: 1 } }), [
    "longer queue than the median",
  ]);
  const faults = [{ kind: "leader-killed", at_s: 90 }];
  assert.deepEqual(simulated({ faults } as unknown as Change).summary.slowest, [
    { cause: "mostly activate; met leader-killed", requests: 1 },
  ]);
});

const together = { failures_percent: 100, max_unavailable_percent: 100 };
for (const [name, rollout] of [
  ["a tenth at once", { failures_percent: 10 }],
  ["2 % at once", { failures_percent: 2 }],
  [
    "one at a time",
    { failures_percent: 0, waves: [{ percent: 10, bake_s: 30 }, { percent: 100 }] },
  ],
  [
    "three waves that are watched",
    { waves: [5, 50, 100].map((percent) => ({ percent, bake_s: 60 })) },
  ],
  ["all at once, as they are quick", { ...together, waves: [{ percent: 100 }] }],
  [
    "three waves of quick machines",
    { ...together, waves: [10, 50, 100].map((percent) => ({ percent })) },
  ],
] as const) {
  test(`the estimate of waves is within a tenth of the machines that decide them: ${name}`, () => {
    const isQuick = "max_unavailable_percent" in rollout;
    const health = isQuick ? { p50_s: 1, p99_s: 1.001 } : {};
    const { world, request } = simulated({ rollout, health } as unknown as Change);
    const { plan, row } = world.rollout("b-0");
    const sizes = row.waves.map(({ size }) => size);
    const { meanMs, mostMs } = isQuick ? QUICK : HEALTH;
    const switches = { meanMs: meanMs + SWITCH_MS, mostMs: mostMs + SWITCH_MS };
    const waves = waveTimes(plan, sizes, 400, switches);
    const estimatedMs = waves.reduce((sum, wave) => sum + wave.switchingMs + wave.bakeMs, 0);
    const tookMs = (request.endedAt as number) - (request.stagedAt as number);
    assert(
      Math.abs(estimatedMs / tookMs - 1) <= 0.1,
      `estimated ${estimatedMs} ms, took ${tookMs} ms`,
    );
  });
}

/** Of a release whose packs are there after 61 s and whose waves take two minutes. */
const IN_MID_WAVE_S = 90;

for (const [name, change, reason] of [
  ["leaders die", { faults: [{ kind: "leader-killed", at_s: IN_MID_WAVE_S }] }, "succeeded"],
  [
    "the store is away",
    { faults: [{ kind: "store-away", at_s: IN_MID_WAVE_S, for_s: 20 }] },
    "succeeded",
  ],
  [
    "half of the relays die",
    { faults: [{ kind: "relay-killed", share: 0.5, at_s: IN_MID_WAVE_S, for_s: 60 }] },
    "succeeded",
  ],
  [
    "the WAN of a region is cut",
    { faults: [{ kind: "wan-cut", region: 0, at_s: 30, for_s: 60 }] },
    "succeeded",
  ],
  [
    "all agents lose their relays",
    { faults: [{ kind: "agents-dropped", at_s: IN_MID_WAVE_S }] },
    "succeeded",
  ],
  ["a worker dies", { faults: [{ kind: "worker-killed", at_s: 20 }] }, "succeeded"],
  ["it crashes", { bad: "crashes" }, "rolled_back"],
  ["it hangs", { bad: "hangs" }, "rolled_back"],
  [
    "it dies while it is watched",
    {
      ...{ bad: "late", bad_after_s: 20 },
      rollout: { waves: [{ percent: 10, bake_s: 60 }, { percent: 100 }] },
    },
    "rolled_back",
  ],
] as const) {
  test(`a release of which ${name} ends rightly: ${reason}`, () => {
    const { world, request, summary } = simulated(change as Change);
    assert.equal(request.reason, reason);
    assert.equal(request.outcome, "right");
    assert.equal(summary.availability, 1);
    const running = reason === "succeeded" ? "b-0" : "old-service-1";
    const others = world.agents.filter(({ standing }) => !standing.running.startsWith(running));
    assert.deepEqual(
      others.map(({ standing }) => standing),
      [],
    );
  });
}
