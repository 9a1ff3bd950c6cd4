// Whole swarms in virtual time. What must hold whatever peers and network do: every honest peer gets
// every piece while one source of it can be reached, no corrupt piece is kept, who gives corrupt
// pieces is banned, bytes are hardly wasted, and the same seed gives the same run.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { PeerRole } from "../../../core/swarm/message.ts";
import { seededRandom } from "../../../core/swarm/random.ts";
import { type Conduct, type PeerPlan, VirtualSwarm } from "./virtual-swarm.ts";

const KIB = 1024;
/** 1 MiB/ms is about 8 Gbit/s; slow ones have 64 KiB/s, less than a third of what a source must give. */
const FAST = 1024 * KIB;
const SLOW = 64;

function agents(count: number, plan: Partial<PeerPlan> = {}, prefix = "a"): PeerPlan[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `${prefix}${index}`,
    role: "agent" as PeerRole,
    ...plan,
  }));
}

function relay(id: string, plan: Partial<PeerPlan> = {}): PeerPlan {
  return { id, role: "relay", seeds: true, ...plan };
}

/** Bytes received over bytes needed, and the share that relays gave, of the honest agents. */
function costs(swarm: VirtualSwarm): { waste: number; fromRelays: number } {
  const honest = [...swarm.peers.values()].filter(
    ({ plan }) => plan.role === "agent" && !plan.seeds && plan.conduct === undefined,
  );
  const total = swarm.pieceBytes.reduce((sum, bytes) => sum + bytes, 0) * honest.length;
  const sum = (of: "bytesReceived" | "bytesFromRelays") =>
    honest.reduce((all, peer) => all + peer[of], 0);
  return { waste: sum("bytesReceived") / total, fromRelays: sum("bytesFromRelays") / total };
}

test("a clean swarm moves each byte once to each, and about once out of the relays", () => {
  const oneRelay = new VirtualSwarm([relay("r0"), ...agents(6)], Array(64).fill(256 * KIB), 1);
  oneRelay.runUntilWhole(60_000);
  assert.equal(costs(oneRelay).waste, 1);
  assert(costs(oneRelay).fromRelays < 0.25, `${costs(oneRelay).fromRelays} of the bytes`);
  const plans = [relay("r0"), relay("r1"), ...agents(8)];
  const twoRelays = new VirtualSwarm(plans, Array(40).fill(700 * KIB), 1);
  twoRelays.runUntilWhole(60_000);
  assert.equal(costs(twoRelays).waste, 1);
  assert(costs(twoRelays).fromRelays < 0.3, `${costs(twoRelays).fromRelays} of the bytes`);
});

test("the same seed gives the same run, another seed another", () => {
  const run = (seed: number) => {
    const swarm = new VirtualSwarm([relay("r0"), ...agents(5)], Array(30).fill(300 * KIB), seed);
    swarm.runUntilWhole(60_000);
    return swarm.trace;
  };
  assert.equal(run(1), run(1));
  assert.notEqual(run(1), run(2));
});

test("fault 30: the only seeder leaves at 1 %: a relay that comes later completes it for all", () => {
  const plans = [relay("r0", { seeds: false }), ...agents(1, { seeds: true }, "s"), ...agents(5)];
  const swarm = new VirtualSwarm(plans, Array(100).fill(256 * KIB), 3);
  const haveOne = () => {
    const { have, wanted } = swarm.peers.get("a0")?.machine.progress ?? { have: 0, wanted: 1 };
    return have / wanted >= 0.01;
  };
  while (!haveOne()) assert(swarm.step());
  swarm.kill("s0");
  swarm.runUntil(swarm.now + 60_000);
  assert(!swarm.isWhole);
  for (let piece = 0; piece < 100; piece += 1) swarm.mirror("r0", piece);
  swarm.runUntilWhole(swarm.now + 60_000);
});

test("fault 9: a peer that corrupts is banned by each after two pieces at most, and nothing bad is kept", () => {
  const plans = [relay("r0"), ...agents(6), ...agents(3, { conduct: "corrupt" }, "x")];
  const swarm = new VirtualSwarm(plans, Array(60).fill(400 * KIB), 5);
  swarm.runUntilWhole(300_000);
  for (const [id, corrupted] of swarm.corruptPieces) {
    for (const [giver, count] of corrupted) {
      assert(count <= 2, `${id} compared ${count} corrupt pieces of ${giver}`);
    }
  }
});

test("fault 9: bytes that turn around on the wire, whoever sends them, are kept and passed on by nobody", () => {
  let flips = 0;
  fc.assert(
    fc.property(fc.nat(1_000_000), fc.integer({ min: 30, max: 300 }), (seed, flipsOneIn) => {
      const plans = [relay("r0"), relay("r1"), ...agents(6)];
      const swarm = new VirtualSwarm(plans, Array(60).fill(700 * KIB), seed);
      swarm.flipsOneIn = flipsOneIn;
      swarm.runUntilWhole(900_000);
      flips += swarm.flips;
    }),
    { numRuns: 50 },
  );
  assert(flips > 500, `${flips} blocks were turned around`);
});

test("fault 30: the last rare piece is only at a peer that leaves: the relay gives it, nobody is stuck", () => {
  const rare = 59;
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const plans = [relay("r0", { seeds: false }), ...agents(1, {}, "s"), ...agents(5)];
    const swarm = new VirtualSwarm(plans, Array(60).fill(256 * KIB), seed);
    for (let piece = 0; piece < rare; piece += 1) swarm.mirror("r0", piece);
    swarm.mirror("s0", rare);
    while (!swarm.begun.has(`s0 ${rare}`)) assert(swarm.step());
    swarm.kill("s0");
    swarm.runUntil(swarm.now + 120_000);
    assert(!swarm.isWhole, "the piece was rare");
    for (const id of ["a0", "a1", "a2", "a3", "a4"]) {
      assert.equal(swarm.peers.get(id)?.machine.progress.have, rare, "all else came");
    }
    swarm.mirror("r0", rare);
    swarm.runUntilWhole(swarm.now + 60_000);
  }
});

test("mute peers, and such that claim what they lack, delay but do not stop it", () => {
  const plans = [
    relay("r0"),
    ...agents(6),
    ...agents(2, { conduct: "mute" }, "m"),
    ...agents(2, { conduct: "liar" }, "l"),
  ];
  const swarm = new VirtualSwarm(plans, Array(60).fill(300 * KIB), 6);
  swarm.runUntilWhole(120_000);
  assert(costs(swarm).waste <= 1.05, `${costs(swarm).waste} times the bytes`);
});

test("threat 6: a slow source is replaced within 20 s, its bytes kept", () => {
  const slow = agents(1, { seeds: true, uploadBytesPerMs: SLOW }, "s");
  const swarm = new VirtualSwarm([relay("r0"), ...slow, ...agents(2)], [16384 * KIB], 7);
  swarm.runUntilWhole(25_000);
});

const conduct = fc.constantFrom<Conduct | undefined>(
  undefined,
  undefined,
  undefined,
  "corrupt",
  "mute",
  "liar",
);
const agentPlan = fc.record({
  conduct,
  uploadBytesPerMs: fc.constantFrom(FAST, FAST, 20 * KIB, SLOW),
});

test("whatever peers and network do, everybody who is honest and up finishes", () => {
  fc.assert(
    fc.property(
      fc.nat(1_000_000),
      fc.integer({ min: 1, max: 2 }),
      fc.array(agentPlan, { minLength: 1, maxLength: 9 }),
      fc.array(fc.integer({ min: 1, max: 1100 * KIB }), { minLength: 1, maxLength: 40 }),
      (seed, relays, plans, pieceBytes) => {
        const swarm = new VirtualSwarm(
          [
            ...Array.from({ length: relays }, (_, index) => relay(`r${index}`)),
            ...plans.map((plan, index): PeerPlan => ({ id: `a${index}`, role: "agent", ...plan })),
          ],
          pieceBytes,
          seed,
        );
        trouble(swarm, seed, plans.length);
        swarm.runUntilWhole(swarm.now + 900_000);
        for (const corrupted of swarm.corruptPieces.values()) {
          // Two, and one whose last block was being written when the second was compared.
          for (const count of corrupted.values()) assert(count <= 3, `${count} corrupt pieces`);
        }
      },
    ),
    { numRuns: 150 },
  );
});

/** Breaks connections, kills agents and relays and lets some come back, for a while. */
function trouble(swarm: VirtualSwarm, seed: number, agentCount: number): void {
  const random = seededRandom(seed);
  const pick = (count: number) => Math.floor(random() * count);
  const down = new Set<string>();
  for (let round = 0; round < 12; round += 1) {
    swarm.runUntil(swarm.now + random() * 200);
    const victim = pick(4) === 0 ? "r0" : `a${pick(agentCount)}`;
    if (pick(3) === 0) swarm.cut(`a${pick(agentCount)}`, "r0");
    else if (down.delete(victim)) swarm.restart(victim, seed + round);
    else {
      down.add(victim);
      swarm.kill(victim);
    }
  }
  // The relay comes back: while it is away, a piece may have no source at all.
  if (down.delete("r0")) swarm.restart("r0", seed);
}
