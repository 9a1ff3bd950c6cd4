// Whatever workers do, every build ends in one terminal state within the stated bound, succeeds at most
// once, and only the highest attempt is believed (faults 18, 19 and 20).
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BUILD_LIMITS, DELIVERIES_MAX } from "../../../core/builds/build-limits.ts";
import type { Outcome } from "../../../core/builds/build-transitions.ts";
import { allEnded, QueueWorld, submitted, type WorkerPlan } from "./queue-world.ts";

const SPAN_MS = 30 * 60_000;
const time = fc.integer({ min: 0, max: SPAN_MS });

const outcome: fc.Arbitrary<Outcome> = fc.constantFrom<Outcome>(
  { kind: "release", release: "a", service: "s" },
  { kind: "release", release: "b", service: "s" },
  { kind: "failure", reason: "command", message: "exit 1" },
  { kind: "failure", reason: "attempt", message: "" },
  { kind: "failure", reason: "handed_back", message: "" },
  { kind: "cancelled" },
);

const plan: fc.Arbitrary<WorkerPlan> = fc.record({
  aliveMs: fc.oneof(fc.integer({ min: 0, max: 60_000 }), time),
  completeMs: fc.option(fc.oneof(fc.integer({ min: 0, max: 90_000 }), time), { nil: undefined }),
  outcome,
  attemptError: fc.constantFrom(0, 0, 0, 0, -1, 1),
  repeatMs: fc.integer({ min: 0, max: 40_000 }),
});

type Move =
  | { readonly kind: "submit"; readonly overallMs: number }
  | { readonly kind: "lease"; readonly plan: WorkerPlan }
  | { readonly kind: "cancel"; readonly build: number }
  | { readonly kind: "restart" }
  | { readonly kind: "stall"; readonly forMs: number };

const submit = fc.record({
  kind: fc.constant("submit" as const),
  overallMs: fc.oneof(fc.constant(20 * 60_000), fc.integer({ min: 1, max: 20 * 60_000 })),
});
const leaseMove = fc.record({ kind: fc.constant("lease" as const), plan });
const cancelMove = fc.record({
  kind: fc.constant("cancel" as const),
  build: fc.integer({ min: 0, max: 5 }),
});
const restart = fc.constant({ kind: "restart" as const });
const stall = fc.record({
  kind: fc.constant("stall" as const),
  forMs: fc.integer({ min: 1, max: 120_000 }),
});

/** A few builds, many workers that ask for work, and what else happens. */
function moves(kinds: fc.Arbitrary<Move>[]): fc.Arbitrary<{ at: number; move: Move }[]> {
  const early = fc.integer({ min: 0, max: 5 * 60_000 });
  const submits = fc.array(fc.record({ at: early, move: submit }), {
    minLength: 1,
    maxLength: 6,
    size: "max",
  });
  const leases = fc.array(fc.record({ at: fc.oneof(early, time), move: leaseMove }), {
    maxLength: 40,
    size: "max",
  });
  const others = fc.array(fc.record({ at: time, move: fc.oneof(...kinds) }), { maxLength: 6 });
  return fc.tuple(submits, leases, others).map((parts) => parts.flat());
}

/** Plays the moves and then lets time pass until the last bound and `moreMs`. */
function play(script: readonly { at: number; move: Move }[], moreMs: number): QueueWorld {
  const world = new QueueWorld();
  script.forEach(({ at, move }, index) => {
    world.at(at, () => {
      switch (move.kind) {
        case "submit":
          world.submit(submitted(`b${index}`, move.overallMs));
          return;
        case "lease":
          world.leaseBy(`w${index}`, move.plan);
          return;
        case "cancel":
          world.cancel([...world.rows.keys()][move.build] ?? "none");
          return;
        case "restart":
          world.restart();
          return;
        case "stall":
          world.stall(move.forMs);
          return;
        default:
          throw move satisfies never;
      }
    });
  });
  world.runUntil(SPAN_MS + 20 * 60_000 + moreMs);
  return world;
}

function checkHistory(world: QueueWorld): void {
  assert.ok(allEnded(world), "a build has not ended");
  for (const build of world.rows.keys()) {
    const lines = world.history.filter((line) => line.build === build);
    const ends = lines.filter((line) => line.state !== "queued" && line.state !== "leased");
    assert.equal(ends.length, 1, "it ends once");
    assert.equal(lines.at(-1), ends[0], "nothing follows the end");
    const leases = lines.filter((line) => line.state === "leased").map((line) => line.attempt);
    assert.deepEqual(
      leases,
      leases.map((_, index) => index + 1),
      "each lease raises the attempt by one",
    );
    assert.ok(world.rows.get(build)!.losses <= DELIVERIES_MAX, "deliveries are bounded");
  }
  for (const { build, attempt } of world.accepted) {
    const before = world.history.filter((line) => line.build === build && line.state === "leased");
    assert.ok(
      before.some((line) => line.attempt === attempt),
      "what was accepted was leased",
    );
  }
}

/** Leased after its time and before a sweep: a silence that was no whole number of sweeps broke the bound. */
const LEASED_LATE: { at: number; move: Move }[] = [
  { at: 0, move: { kind: "submit", overallMs: 1 } },
  {
    at: 501,
    move: {
      kind: "lease",
      plan: {
        aliveMs: 0,
        completeMs: undefined,
        outcome: { kind: "release", release: "a", service: "s" },
        attemptError: 0,
        repeatMs: 0,
      },
    },
  },
];

test("faults 18 and 20: every build ends once, and within overall + detect + sweep", () => {
  fc.assert(
    fc.property(moves([cancelMove]), (script) => {
      const world = play(script, 60_000);
      for (const [build, row] of world.rows) {
        const lines = world.history.filter((line) => line.build === build);
        const took = lines.at(-1)!.at - lines[0]!.at;
        const bound = row.overallMs + BUILD_LIMITS.detectMs + BUILD_LIMITS.sweepMs;
        assert.ok(took <= bound, `${build} took ${took} ms of ${bound}`);
      }
    }),
    { numRuns: 200, examples: [[LEASED_LATE]] },
  );
});

test("fault 1: restarts and outages of the control plane end no build twice and leave none behind", () => {
  fc.assert(
    fc.property(moves([cancelMove, restart, stall]), (script) => {
      // What restarts can give back: a checkpoint's worth and a window each; what outages hide.
      const givenBack = script.reduce((sum, { move }) => {
        if (move.kind === "restart") return sum + BUILD_LIMITS.checkpointMs + 20 * 60_000;
        return move.kind === "stall" ? sum + move.forMs + BUILD_LIMITS.detectMs : sum;
      }, 60_000);
      checkHistory(play(script, givenBack));
    }),
    { numRuns: 200 },
  );
});

test("fault 18: a result is taken only while its attempt has the lease", () => {
  fc.assert(
    fc.property(moves([cancelMove, restart, stall]), (script) => {
      const world = play(script, 60_000_000);
      for (const { build, attempt } of world.accepted) {
        const leases = world.history.filter((line) => line.build === build);
        const later = leases.filter((line) => line.attempt > attempt && line.state === "leased");
        const ended = world.rows.get(build)!;
        if (ended.state === "succeeded") assert.equal(ended.attempt, leases.at(-1)!.attempt);
        // A report that is believed ends its attempt; only a build given back is leased again.
        if (later.length > 0) {
          assert.ok(leases.some((line) => line.state === "queued" && line.attempt === attempt));
        }
      }
      const successes = world.history.filter((line) => line.state === "succeeded");
      assert.equal(new Set(successes.map((line) => line.build)).size, successes.length);
    }),
    { numRuns: 200 },
  );
});
