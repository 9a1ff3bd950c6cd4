// Links that clog, jitter and break under a swarm in virtual time: whatever happens to them, once they are
// well every peer becomes whole, and nobody honest is blamed for it. Times are virtual, so they are exact.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "../../core/swarm/random.ts";
import { Broadcast, type BroadcastPlan, REGION, SHAPED } from "../../simulator/broadcast.ts";
import type { SimulatedPeer } from "../../simulator/simulated-peer.ts";

const SEEDS = [1, 2, 3, 4, 5, 6];
/** Troubles last so long; the clean run would be done in less. */
const TROUBLE_MS = 30_000;
const HEAL_MS_MAX = 60_000;
/** Said of a peer that is slow or gone, and of no other. */
const HARMLESS: ReadonlySet<string> = new Set(["timed out", "stalled reader"]);

/** A swarm of 12 whose pieces have several blocks, and dice of its own. */
function begin(seed: number, change: Partial<BroadcastPlan> = {}) {
  const pieces = { peers: 12, pieces: 60, pieceBytes: 1024 * 1024 };
  const broadcast = new Broadcast({ ...SHAPED, ...pieces, ...change, seed });
  return { broadcast, world: broadcast.world, random: seededRandom(seed + 100) };
}

/** Every so often until the end of the trouble, while the swarm is not whole. */
function often(
  { world, random }: ReturnType<typeof begin>,
  everyMs: number,
  trouble: () => void,
): void {
  const next = () => {
    trouble();
    const at = world.now + everyMs * (0.5 + random());
    if (at < TROUBLE_MS) world.at(at, next);
  };
  world.at(everyMs, next);
}

function oneOf<T>(items: readonly T[], random: Random): T {
  return items[Math.floor(random() * items.length)] as T;
}

/** Some peer and somebody whom it is connected to. */
function someLink({ broadcast, random }: ReturnType<typeof begin>) {
  const one = oneOf([broadcast.seed, ...broadcast.first], random);
  const other = oneOf([...one.links.values()], random)?.other;
  return other === undefined ? undefined : ([one, other] as const);
}

function checkHealed({ broadcast, world }: ReturnType<typeof begin>): void {
  assert(world.run(TROUBLE_MS + HEAL_MS_MAX), unfinished(broadcast.first));
  assert.deepEqual(
    world.disconnects.filter(({ reason }) => !HARMLESS.has(reason)),
    [],
  );
}

function unfinished(peers: readonly SimulatedPeer[]): string {
  const behind = peers.filter(({ wholeAt }) => wholeAt === undefined);
  return `not whole: ${behind.map(({ plan, held }) => `${plan.id} has ${held.count}`).join(", ")}`;
}

for (const seed of SEEDS) {
  test(`fault 7: random links clog for a while, seed ${seed}: all are whole soon after the last is well`, () => {
    const run = begin(seed);
    often(run, 500, () => {
      const link = someLink(run);
      const until = Math.min(TROUBLE_MS, run.world.now + 20_000 * run.random());
      if (link !== undefined) run.world.clog(...link, until);
    });
    checkHealed(run);
  });

  test(`fault 8: every link jitters by up to 2 s and some break at any time, seed ${seed}: nothing is stuck`, () => {
    const run = begin(seed, { roundTripMs: 5 });
    often(run, 20, () => {
      const link = someLink(run);
      if (link === undefined) return;
      if (run.random() < 0.1) run.world.cut(...link);
      else run.world.clog(...link, run.world.now - 500 * Math.log(1 - 0.98 * run.random()));
    });
    checkHealed(run);
  });

  test(`fault 24: all lose all their links at once, seed ${seed}: they find together again and go on`, () => {
    const run = begin(seed);
    const { world, broadcast } = run;
    world.at(broadcast.boundMs / 2, () => {
      for (const peer of [broadcast.seed, ...broadcast.first]) {
        for (const { other } of [...peer.links.values()]) world.cut(peer, other);
      }
    });
    assert(world.run(3 * broadcast.boundMs), unfinished(broadcast.first));
    assert.deepEqual(world.disconnects, []);
    const received = broadcast.first.reduce((sum, peer) => sum + peer.receivedBytes, 0);
    const needed = broadcast.first.length * 60 * 1024 * 1024;
    assert(received <= 1.1 * needed, `${received / needed} of the bytes that were needed`);
  });
}

test("fault 24: 120 peers that know a few each lose all their links, and their seed for 5 s: nobody is alone for long", () => {
  const broadcast = new Broadcast({ ...REGION, peers: 120, pieces: 120, mbit: 100, seedMbit: 100 });
  const { world, first, seed, boundMs } = broadcast;
  const stormAt = boundMs / 2;
  const lonely = new Set<SimulatedPeer>();
  world.at(stormAt, () => {
    for (const peer of [seed, ...first]) {
      for (const { other } of [...peer.links.values()]) world.cut(peer, other);
    }
    world.kill(seed);
    for (const peer of first) lonely.add(peer);
  });
  world.at(stormAt + 5_000, () => world.restart(seed));
  const isFound = () => {
    for (const peer of lonely) if (peer.links.size > 0) lonely.delete(peer);
    return world.now > stormAt && lonely.size === 0;
  };
  // A dial that failed is repeated after half a second at first, the seed's at last after 15 s.
  while (!isFound()) assert(world.step(stormAt + 2_000), `${lonely.size} peers are alone`);
  assert(world.run(stormAt + 5_000 + 15_000 + 2 * boundMs), unfinished(first));
  assert(
    first.every(({ wholeAt }) => wholeAt !== undefined),
    unfinished(first),
  );
  assert.deepEqual(world.disconnects, []);
});

test("fault 10: links with 1 Mbit/s beside fast ones, and one that takes nothing, hold nobody up", () => {
  const run = begin(7, { slowEvery: 3 });
  const [stuck, ...others] = run.broadcast.first;
  assert(stuck !== undefined);
  const slow = others.slice(0, 3);
  const fast = others.slice(3);
  stuck.host.downRate = 1e-9;
  for (const peer of slow) peer.host.upRate = 125;
  // What the slow ones ask waits behind the blocks that they give.
  for (const [peers, ratioMax] of [
    [fast, 4],
    [slow, 6],
  ] as const) {
    while (peers.some(({ wholeAt }) => wholeAt === undefined)) {
      assert(run.world.step(ratioMax * run.broadcast.boundMs), unfinished(peers));
    }
  }
});
