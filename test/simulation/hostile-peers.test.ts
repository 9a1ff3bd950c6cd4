// Peers that misbehave, 30 % of a swarm: honest ones finish in 1.3 of the clean time and bytes, beside such as
// only take in 1.15, and a peer that gives wrong bytes is dropped by each after two pieces at most.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Broadcast, SHAPED } from "../../simulator/broadcast.ts";
import type { Conduct } from "../../simulator/conduct.ts";

const CONDUCTS: readonly Conduct[] = ["corrupt", "mute", "liar", "staller", "flooder", "leech"];
// Pieces of several blocks, so that a stall in mid-piece is one.
const PLAN = { ...SHAPED, pieces: 200, pieceBytes: 600 * 1024 };
const clean = new Broadcast(PLAN).run();

/** As 12 of 17 uplinks are left, 1.33 of the bound is what equal service would give. */
const LEECHES_COST_MAX = 1.15;

/** What one refuses the other offers again and again. */
const PAIR: readonly Conduct[] = ["liar", "flooder"];

for (const conducts of [...CONDUCTS.map((one) => [one]), PAIR, CONDUCTS]) {
  const isAll = conducts === CONDUCTS;
  const name = isAll ? "peers of every conduct" : `peers of conduct ${conducts.join(" and ")}`;
  test(`fault 31: 30 % ${name} cost honest ones no more than 1.3 of time and bytes`, () => {
    const broadcast = new Broadcast({ ...PLAN, hostile: 0.3, conducts });
    const { ratio, received } = broadcast.run();
    assert(ratio <= 1.3 * clean.ratio, `${ratio} of the bound, ${clean.ratio} without them`);
    const isLeeching = conducts.every((conduct) => conduct === "leech");
    if (isLeeching) assert(ratio <= LEECHES_COST_MAX * clean.ratio, `${ratio}, ${clean.ratio}`);
    assert(received <= 1.3, `${received} of the bytes that were needed`);
    for (const { plan, corrupt } of broadcast.first) {
      for (const [giver, count] of corrupt) {
        assert(count <= 2, `${plan.id} compared ${count} corrupt pieces of ${giver}`);
      }
    }
  });
}

test("threat 8: two thirds of the peers lie, are mute, stall or only take: the others finish all the same", () => {
  const conducts: readonly Conduct[] = ["liar", "mute", "staller", "leech"];
  const broadcast = new Broadcast({ ...PLAN, pieces: 60, hostile: 0.67, conducts });
  assert(broadcast.run().isWhole);
});
