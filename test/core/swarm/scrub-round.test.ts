// Which stored piece is compared next, and when.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SCRUB_RATE, SCRUB_REST_MS } from "../../../core/swarm/limits.ts";
import { ScrubRound, type StoredPack } from "../../../core/swarm/scrub-round.ts";

const BYTES = 1_000 * SCRUB_RATE;

/** A pack of so many pieces of a second each, of which these are held. */
function pack(pieceCount: number, held: readonly number[]): StoredPack {
  return { pieceCount, has: (piece) => held.includes(piece), pieceBytes: () => BYTES };
}

test("rests first, then takes piece after piece at its rate, pack after pack, and begins anew", () => {
  const packs = new Map([
    ["a", pack(4, [1, 3])],
    ["b", pack(2, [])],
    ["c", pack(1, [0])],
  ]);
  const round = new ScrubRound(0);
  assert.equal(round.next(SCRUB_REST_MS - 1, packs), undefined);
  const taken: string[] = [];
  for (let at = 0; at < 5; at += 1) {
    const now = SCRUB_REST_MS + 1_000 * at;
    const next = round.next(now, packs);
    taken.push(`${next?.pack}${next?.piece}`);
    assert.equal(round.next(now + 999, packs), undefined, "before its time");
  }
  assert.deepEqual(taken, ["a1", "a3", "c0", "a1", "a3"]);
});

test("looks again after a rest where nothing is stored", () => {
  const round = new ScrubRound(0);
  assert.equal(round.next(SCRUB_REST_MS, new Map()), undefined);
  const packs = new Map([["a", pack(1, [0])]]);
  assert.equal(round.next(2 * SCRUB_REST_MS - 1, packs), undefined);
  assert.deepEqual(round.next(2 * SCRUB_REST_MS, packs), { pack: "a", piece: 0 });
});

test("whatever comes and goes, only what is held is taken, and all that stays within two rounds", () => {
  const stored = fc.record({
    name: fc.constantFrom("a", "b", "c", "d"),
    held: fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { maxLength: 10 }),
  });
  fc.assert(
    fc.property(fc.array(stored), fc.array(stored), (before, after) => {
      const packs = new Map<string, StoredPack>(
        before.map(({ name, held }) => [name, pack(10, held)]),
      );
      const round = new ScrubRound(0);
      let now = SCRUB_REST_MS;
      const taken = new Set<string>();
      const take = (): void => {
        const next = round.next(now, packs);
        now += SCRUB_REST_MS;
        if (next === undefined) return;
        assert(packs.get(next.pack)?.has(next.piece), `${next.pack} has no ${next.piece}`);
        taken.add(`${next.pack}${next.piece}`);
      };
      for (let turn = 0; turn < 7; turn += 1) take();
      for (const { name, held } of after) {
        if (held.length === 0) packs.delete(name);
        else packs.set(name, pack(10, held));
      }
      taken.clear();
      const all = [...packs].flatMap(([name, one]) =>
        [...Array(10).keys()].filter((piece) => one.has(piece)).map((piece) => `${name}${piece}`),
      );
      for (let turn = 0; turn < 2 * all.length + 2; turn += 1) take();
      assert.deepEqual([...taken].toSorted(), all.toSorted());
    }),
  );
});
