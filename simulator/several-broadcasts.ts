// Several files at once from one seed to the same peers, one process a host, in virtual time: when each is
// through, and how busy all uplinks were until the first was. It decides nothing.
import type { Instant } from "../core/machine.ts";
import { boundMs, MBIT, SHAPED } from "./broadcast.ts";
import { introduceAll } from "./introductions.ts";
import type { SimulatedPeer } from "./simulated-peer.ts";
import { SwarmWorld } from "./swarm-world.ts";

/** A run that takes so many times the bound of all files has failed. */
const RATIO_MAX = 3;

export interface SeveralPlan {
  readonly swarms: number;
  /** The first swarm is urgent. */
  readonly isUrgent: boolean;
  readonly peers: number;
  /** Of each file. */
  readonly pieces: number;
  readonly pieceBytes: number;
  readonly mbit: number;
  readonly roundTripMs: number;
  /** Of every machine; left out: no limit. */
  readonly upLimitMbit?: number;
  readonly downLimitMbit?: number;
  readonly seed: number;
}

/** Five files of 64 MiB on the shaped network, one of them urgent. */
export const FIVE: SeveralPlan = {
  swarms: 5,
  isUrgent: true,
  peers: SHAPED.peers,
  pieces: 256,
  pieceBytes: SHAPED.pieceBytes,
  mbit: SHAPED.mbit,
  roundTripMs: SHAPED.roundTripMs,
  seed: 1,
};

export interface SeveralReport {
  /** When the last peer had each file, over the bound of one alone; Infinity: never. */
  readonly ratios: readonly number[];
  /** Share of the time until the first file was through that all uplinks were busy. */
  readonly busy: number;
  /** Bytes that the peers had got of each file then. */
  readonly atFirst: readonly number[];
  readonly world: SwarmWorld;
}

/** Runs it to its end. */
export function severalBroadcasts(plan: SeveralPlan): SeveralReport {
  const { swarms, peers, pieces, pieceBytes, seed, roundTripMs } = plan;
  const rate = plan.mbit * MBIT;
  const world = new SwarmWorld({
    pieceBytes: Array(pieces).fill(pieceBytes),
    seed,
    roundTripMs,
    setUpMs: 5,
    runBytes: SHAPED.runBytes,
    sendBufferBytes: 256 * 1024,
    windowBytes: 4 * 1024 * 1024,
    isFifo: true,
    bucketMs: pieceBytes / rate / peers / 4,
  });
  const members = Array.from({ length: swarms }, (): SimulatedPeer[] => []);
  for (let host = 0; host <= peers; host += 1) {
    for (const [at, swarm] of members.entries()) {
      swarm.push(
        world.join(
          {
            id: `${at}-${host}`,
            role: host === 0 ? "relay" : "agent",
            upRate: rate,
            downRate: rate,
            upLimit: plan.upLimitMbit && plan.upLimitMbit * MBIT,
            downLimit: plan.downLimitMbit && plan.downLimitMbit * MBIT,
            isUrgent: plan.isUrgent && at === 0,
            seeds: host === 0,
          },
          members[0]?.[host],
        ),
      );
    }
  }
  for (const swarm of members) introduceAll(world, swarm);
  const { upLimitMbit = plan.mbit, downLimitMbit = plan.mbit } = plan;
  const upRate = Math.min(upLimitMbit, plan.mbit) * MBIT;
  const downRate = Math.min(downLimitMbit, plan.mbit) * MBIT;
  const alone = boundMs(pieces * pieceBytes, upRate, downRate, Array(peers).fill(upRate));
  const until = RATIO_MAX * swarms * alone;
  const hosts = (members[0] ?? []).map(({ host }) => host);
  while (!members.some(isWhole) && world.step(until));
  const busyMs = hosts.reduce((sum, { busyMs: one }) => sum + one, 0);
  const busy = busyMs / hosts.length / world.now;
  const atFirst = members.map((swarm) =>
    swarm.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0),
  );
  world.run(until);
  return { ratios: members.map((swarm) => latest(swarm) / alone), busy, atFirst, world };
}

function isWhole(swarm: readonly SimulatedPeer[]): boolean {
  return swarm.every(({ wholeAt }) => wholeAt !== undefined);
}

function latest(swarm: readonly SimulatedPeer[]): Instant {
  return Math.max(...swarm.map(({ wholeAt = Number.POSITIVE_INFINITY }) => wholeAt));
}
