// One release on its way from the origin to a whole fleet: how large it and the fleet are, and the bound
// that no way of carrying it can beat. Times are real milliseconds, rates bytes a millisecond unless named.
import { boundTerms as broadcastTerms } from "../core/estimate/broadcast-bound.ts";
import { BLOCK_BYTES_LONG } from "../core/swarm/limits.ts";

/** Bytes a millisecond of one Mbit/s. */
const MBIT = 125;

export interface ReleasePlan {
  readonly agents: number;
  /** Agents are shared out evenly. */
  readonly regions: number;
  readonly relaysPerRegion: number;
  readonly pieces: number;
  readonly pieceBytes: number;
  /** Of an agent's NIC, each way. */
  readonly mbit: number;
  readonly relayMbit: number;
  /** From the origin into a region. */
  readonly wanMbit: number;
  /** Of the origin to all regions. */
  readonly originMbit: number;
  /** How fast the pack grows at the origin. */
  readonly packMbit: number;
  /** Every how manieth agent uploads at a quarter; 0: none. */
  readonly slowEvery: number;
  readonly roundTripMs: number;
  /** Between a relay and the origin or the region's store. */
  readonly storeMs: number;
  readonly seed: number;
}

/** 10 GB to 100,000 machines; the pack is whole at the origin from the start. */
export const RELEASE: ReleasePlan = {
  agents: 100_000,
  regions: 10,
  relaysPerRegion: 4,
  pieces: 640,
  pieceBytes: 16 * 1024 * 1024,
  mbit: 1000,
  relayMbit: 10_000,
  wanMbit: 10_000,
  originMbit: Number.POSITIVE_INFINITY,
  packMbit: Number.POSITIVE_INFINITY,
  slowEvery: 0,
  roundTripMs: 1,
  storeMs: 30,
  seed: 1,
};

/** Milliseconds that each part of the way takes at least; the bound is the greatest of them. */
export interface BoundTerms {
  /** Into one region, and out of the origin into all. */
  readonly wanMs: number;
  readonly originMs: number;
  /** Out of a region's relays once, into an agent, and out of all uplinks of a region to all its agents. */
  readonly relaysMs: number;
  readonly agentMs: number;
  readonly uplinksMs: number;
}

/** What no way of carrying it can beat. */
export function boundTerms(plan: ReleasePlan): BoundTerms {
  const bytes = plan.pieces * plan.pieceBytes;
  const agentRate = plan.mbit * MBIT;
  // The first region has one more where they do not divide.
  const agents = agentsOf(plan, 0);
  const slow = plan.slowEvery > 0 ? Math.ceil(agents / plan.slowEvery) : 0;
  const { sourceMs, machineMs, uplinksMs } = broadcastTerms({
    bytes,
    machines: agents,
    sourceRate: plan.relaysPerRegion * plan.relayMbit * MBIT,
    downRateMin: agentRate,
    upRates: (agents - (3 / 4) * slow) * agentRate,
  });
  return {
    wanMs: bytes / (plan.wanMbit * MBIT),
    originMs: (plan.regions * bytes) / (plan.originMbit * MBIT),
    relaysMs: sourceMs,
    agentMs: machineMs,
    uplinksMs,
  };
}

/** Agents of a region. */
export function agentsOf({ agents, regions }: ReleasePlan, region: number): number {
  return Math.floor(agents / regions) + (region < agents % regions ? 1 : 0);
}

/**
 * How the simulator sees it. A piece of more than one block is run as one of a single block, in as much less time as
 * it has less bytes: 43 blocks a piece would be 43 times the work. Ways, and times that are no number of
 * pieces, weigh more for it than they would; that a piece comes from several peers at once, less.
 */
export interface Scale {
  readonly pieceBytes: number;
  /** Real bytes and milliseconds for each of the simulator's. */
  readonly factor: number;
}

export function scaleOf({ pieceBytes }: ReleasePlan): Scale {
  const factor = Math.max(1, pieceBytes / BLOCK_BYTES_LONG);
  return { pieceBytes: Math.round(pieceBytes / factor), factor };
}

/** Bytes a millisecond. */
export function rateOf(mbit: number): number {
  return mbit * MBIT;
}
