// Who leads a simulated fleet, by the campaign of production in three replicas: one at a time, under epochs that
// rise, and nobody while the store is away for longer than a lease.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LEADER_TIMES } from "../../core/leadership/campaign.ts";
import { seededRandom } from "../../core/swarm/random.ts";
import { FlowClock } from "../../simulator/flow/flow-clock.ts";
import { FlowElection } from "../../simulator/flow/flow-election.ts";

/** Requests to the store and back, and the news of them. */
const WAYS_MS = 100;
const MINUTE_MS = 60_000;

interface Term {
  readonly epoch: number;
  readonly from: number;
  until: number | undefined;
}

/** An election whose terms are noted. */
function begun(seed: number): { clock: FlowClock; election: FlowElection; terms: Term[] } {
  const clock = new FlowClock();
  const terms: Term[] = [];
  const end = (): void => {
    const term = terms.at(-1) as Term;
    assert.equal(term.until, undefined, "a term ends once");
    term.until = clock.now;
  };
  const election = new FlowElection({
    clock,
    random: seededRandom(seed),
    note: () => {},
    onLead: (epoch) => {
      const before = terms.at(-1);
      assert(before === undefined || before.until !== undefined, "two lead at once");
      assert(epoch > (before?.epoch ?? 0), "an epoch does not rise");
      terms.push({ epoch, from: clock.now, until: undefined });
    },
    onStepDown: end,
  });
  return { clock, election, terms };
}

function run(clock: FlowClock, until: number): void {
  while (clock.step(until));
}

test("one of three replicas leads at once, and as long as nothing happens", () => {
  const { clock, terms } = begun(1);
  run(clock, MINUTE_MS);
  assert.equal(terms.length, 1);
  assert((terms[0] as Term).from < WAYS_MS);
  assert.equal(terms[0]?.until, undefined);
});

for (const seed of [1, 2, 3]) {
  test(`a leader that is killed is followed by another once its lease has ended: seed ${seed}`, () => {
    const { clock, election, terms } = begun(seed);
    for (const at of [10_000, 30_000, 50_000]) clock.at(at, () => assert(election.killLeader()));
    run(clock, MINUTE_MS);
    assert.equal(terms.length, 4);
    for (const [index, { from }] of terms.slice(1).entries()) {
      const gapMs = from - (terms[index]?.until as number);
      const { ttlMs, keepAliveMs } = LEADER_TIMES;
      assert(gapMs >= ttlMs - keepAliveMs - WAYS_MS && gapMs <= ttlMs + WAYS_MS, `${gapMs} ms`);
    }
  });
}

test("nobody leads while the store is away, and nobody can be killed then", () => {
  const { clock, election, terms } = begun(1);
  clock.at(10_000, () => election.storeAway(30_000));
  clock.at(20_000, () => assert(!election.killLeader()));
  run(clock, MINUTE_MS);
  assert.equal(terms.length, 2);
  assert((terms[0]?.until as number) <= 10_000 + LEADER_TIMES.ttlMs);
  assert((terms[1] as Term).from >= 30_000);
});

test("a store that is away for a moment costs no term", () => {
  const { clock, election, terms } = begun(1);
  clock.at(10_000, () => election.storeAway(11_000));
  run(clock, MINUTE_MS);
  assert.equal(terms.length, 1);
});
