// Broadcasts whose machines are held to a rate: no host sends or takes more than that, however fast its NIC
// is, and all become whole in about the time that the rate allows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ASKED_BYTES, BLOCK_BYTES_MAX } from "../../core/swarm/limits.ts";
import { BURST_MS } from "../../core/swarm/rate-limit.ts";
import { Broadcast, type BroadcastPlan, MBIT, SHAPED } from "../../simulator/broadcast.ts";

/** Spans of a run, in each of which the limit has to hold. */
const SPANS = 50;

function check(name: string, change: Partial<BroadcastPlan>, ratioMax: number): void {
  test(`${name}: within the limit, and all whole within ${ratioMax} of the bound`, () => {
    const plan = { ...SHAPED, mbit: 1000, seedMbit: 1000, ...change };
    const broadcast = new Broadcast(plan);
    const { world, seed, first } = broadcast;
    const { upLimitMbit = Infinity, downLimitMbit = Infinity } = plan;
    const upRate = upLimitMbit * MBIT;
    const downRate = downLimitMbit * MBIT;
    const spanMs = broadcast.boundMs / SPANS;
    const hosts = [seed, ...first];
    const counts = () => hosts.map(({ host, receivedBytes }) => [host.sentBytes, receivedBytes]);
    let before = counts();
    const look = () => {
      const now = counts();
      for (const [at, [sent = 0, received = 0]] of now.entries()) {
        const [sentBefore = 0, receivedBefore = 0] = before[at] ?? [];
        const up = sent - sentBefore;
        const upMax = upRate * (spanMs + BURST_MS) + BLOCK_BYTES_MAX;
        assert(up <= upMax, `host ${at} sent ${up} bytes in ${spanMs} ms, more than ${upMax}`);
        const down = received - receivedBefore;
        // What is limited is what is asked: some of it comes in a later span.
        const downMax = downRate * (spanMs + BURST_MS) + ASKED_BYTES;
        assert(
          down <= downMax,
          `host ${at} got ${down} bytes in ${spanMs} ms, more than ${downMax}`,
        );
      }
      before = now;
      world.at(world.now + spanMs, look);
    };
    world.at(spanMs, look);
    const { ratio, isWhole } = broadcast.run();
    assert(isWhole, "some are not whole");
    assert(ratio <= ratioMax, `the last peer took ${ratio} of the bound`);
    // Of all the time no more than the rate, to one in fifty.
    for (const { host, receivedBytes, wholeAt = world.now } of hosts) {
      assert(host.sentBytes <= 1.02 * upRate * world.now, `${host.sentBytes} bytes were sent`);
      if (wholeAt > 0) assert(receivedBytes <= 1.02 * downRate * wholeAt, `${receivedBytes} came`);
    }
    assert.deepEqual(world.disconnects, []);
  });
}

check("100 of 1000 Mbit/s up", { upLimitMbit: 100 }, 1.1);
check("100 of 1000 Mbit/s down", { downLimitMbit: 100 }, 1.05);
check("50 Mbit/s up and down", { upLimitMbit: 50, downLimitMbit: 50, pieces: 200 }, 1.15);
check("500 of 10000 Mbit/s up", { upLimitMbit: 500, mbit: 10_000, seedMbit: 10_000 }, 1.1);
check("2 Mbit/s up, the least limit", { upLimitMbit: 2, pieces: 200 }, 1.25);
check("2 Mbit/s down", { downLimitMbit: 2, pieces: 64 }, 1.05);
check(
  "pieces of many blocks, 4 Mbit/s down",
  { downLimitMbit: 4, pieces: 16, pieceBytes: 2 ** 22 },
  1.1,
);
check(
  "a round trip of 50 ms, 20 Mbit/s up",
  { upLimitMbit: 20, pieces: 200, roundTripMs: 50 },
  1.2,
);

test("a few peers that are held to a rate hold up no others", () => {
  const free = new Broadcast(SHAPED).run();
  const broadcast = new Broadcast({ ...SHAPED, limitedEvery: 4, downLimitMbit: 4 });
  assert(broadcast.run().isWhole);
  const ends = broadcast.first.map(({ wholeAt = Infinity }, at) => ({
    wholeAt,
    isFree: at % 4 > 0,
  }));
  const last = Math.max(...ends.filter(({ isFree }) => isFree).map(({ wholeAt }) => wholeAt));
  assert(last <= 1.1 * free.lastMs, `${last} ms beside others, ${free.lastMs} ms alone`);
});
