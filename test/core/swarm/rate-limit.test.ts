// What a limit lets through: never more than its rate and one burst, all of its rate where somebody always
// waits, and to all who wait in turn.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BLOCK_BYTES_MAX } from "../../../core/swarm/limits.ts";
import { seededRandom } from "../../../core/swarm/random.ts";
import { BURST_MS, RateLimit } from "../../../core/swarm/rate-limit.ts";

const ONE = {};

test("a burst goes at once, then as much as the rate gives", () => {
  const limit = new RateLimit(100);
  for (const [now, bytes, waitsUntil] of [
    [0, 1_000, undefined],
    [0, 1_000, undefined],
    [0, 1_000, undefined],
    [0, 1_000, 10],
    [9.5, 1_000, 10.5],
    [10, 1_000, undefined],
    [10, 500, 20],
    [20, 500, undefined],
    [1e6, BLOCK_BYTES_MAX, undefined],
    [1e6, 100, 1e6 - BURST_MS + BLOCK_BYTES_MAX / 100],
  ] as const) {
    assert.equal(limit.waitsUntil(now, ONE), waitsUntil, `${bytes} bytes at ${now}`);
    if (waitsUntil === undefined) limit.take(now, bytes, ONE);
  }
});

test("no span of time sees more than the rate, one burst and one block", () => {
  for (let seed = 1; seed <= 50; seed += 1) {
    const random = seededRandom(seed);
    const rate = 10 ** (4 * random());
    const limit = new RateLimit(rate);
    const who = [{}, {}, {}];
    const taken: { readonly now: number; readonly bytes: number }[] = [];
    let now = 1_000 * random();
    for (let turn = 0; turn < 300; turn += 1) {
      const whose = who[Math.floor(random() * who.length)] as object;
      const bytes = 1 + Math.floor(random() * BLOCK_BYTES_MAX);
      const waitsUntil = limit.waitsUntil(now, whose);
      if (waitsUntil === undefined) {
        limit.take(now, bytes, whose);
        taken.push({ now, bytes });
      } else {
        assert(waitsUntil > now);
        now = random() < 0.8 ? waitsUntil : now + random() * (waitsUntil - now);
      }
      if (random() < 0.02) now += (4 * BLOCK_BYTES_MAX * random()) / rate;
    }
    assert(taken.length > 20, `seed ${seed}: only ${taken.length} blocks went`);
    for (const [at, first] of taken.entries()) {
      let sum = 0;
      for (const { now, bytes } of taken.slice(at)) {
        sum += bytes;
        const most = BLOCK_BYTES_MAX + rate * (BURST_MS + now - first.now);
        assert(sum <= most + 1, `seed ${seed}: ${sum} bytes where ${most} may go`);
      }
    }
  }
});

test("all who wait get as much, and all of the rate is used", () => {
  const rate = 1_000;
  const limit = new RateLimit(rate);
  const waiting = [10_000, 20_000, 40_000].map((bytes) => ({ bytes, wakeAt: 0, times: 0, sum: 0 }));
  let now = 0;
  while (now < 60_000) {
    for (const one of waiting) {
      if (one.wakeAt > now) continue;
      const waitsUntil = limit.waitsUntil(now, one);
      one.wakeAt = waitsUntil ?? now;
      if (waitsUntil !== undefined) continue;
      limit.take(now, one.bytes, one);
      one.times += 1;
      one.sum += one.bytes;
    }
    now = Math.max(now, Math.min(...waiting.map(({ wakeAt }) => wakeAt)));
  }
  const sum = waiting.reduce((total, one) => total + one.sum, 0);
  assert(sum >= 0.95 * 60_000 * rate, `${sum} bytes went`);
  const times = waiting.map((one) => one.times);
  assert(Math.min(...times) >= 0.9 * Math.max(...times), `${times}`);
});

test("who waits and does not come keeps nobody else waiting for long", () => {
  const limit = new RateLimit(1_000);
  limit.take(0, 21_000, ONE);
  assert.equal(limit.waitsUntil(0, ONE), 1);
  const other = {};
  let now = 0;
  for (let at = limit.waitsUntil(now, other); at !== undefined; at = limit.waitsUntil(now, other)) {
    now = at;
  }
  assert(now <= 25, `it waited until ${now}`);
});
