// One file from one seed to many peers in virtual time, with peers that upload slowly, die, come late or
// misbehave, and how long it took beside the bound that no broadcast can beat. It decides nothing.
import { boundTerms } from "../core/estimate/broadcast-bound.ts";
import type { Instant } from "../core/machine.ts";
import { type Random, seededRandom } from "../core/swarm/random.ts";
import type { Conduct } from "./conduct.ts";
import { Introductions } from "./introductions.ts";
import type { PeerPlan, SimulatedPeer } from "./simulated-peer.ts";
import { SwarmWorld } from "./swarm-world.ts";

/** Bytes a millisecond of one Mbit/s. */
export const MBIT = 125;
/** A run that takes so many times the bound has failed. */
const RATIO_MAX = 20;

export interface BroadcastPlan {
  readonly peers: number;
  readonly pieces: number;
  readonly pieceBytes: number;
  /** Of every NIC, each way. */
  readonly mbit: number;
  readonly runBytes: number;
  readonly seedMbit: number;
  /** Every how manieth peer uploads at a quarter; 0: none. */
  readonly slowEvery: number;
  /** 1: the file grows at the seed, at the rate of its NIC; 0: it is whole there. */
  readonly grows: number;
  readonly roundTripMs: number;
  /** 1: small messages wait at NICs behind what others sent, as where a token bucket shapes; 0: queues are fair. */
  readonly fifo: number;
  /** What TCP lets each connection send, as where it goes by what it saw while many shared a NIC; 0: no bound. */
  readonly paceMbit: number;
  /** 1: events are taken host by host, which takes less time where hosts are many (`swarm-world.ts`). */
  readonly byHost: number;
  /** Share of the peers that dies in a minute, and is replaced by fresh ones. */
  readonly churn: number;
  /** Share of the peers that is killed at the middle of the bound and replaced. */
  readonly killed: number;
  /** Share of the peers that misbehaves, and how, in turn. */
  readonly hostile: number;
  readonly conducts: readonly Conduct[];
  /** What machines are held to; left out: no limit. */
  readonly upLimitMbit?: number;
  readonly downLimitMbit?: number;
  /** Every how manieth peer they hold; left out: every one, and the seed. */
  readonly limitedEvery?: number;
  /** Racks, of which peers stand in one each, in turn, and are introduced by it; 0: nobody knows where they stand. */
  readonly racks: number;
  readonly seed: number;
}

/** A shaped network of a few hosts, all alike. */
export const SHAPED: BroadcastPlan = {
  peers: 16,
  pieces: 488,
  pieceBytes: 256 * 1024,
  mbit: 100,
  seedMbit: 100,
  runBytes: 64 * 1024,
  slowEvery: 0,
  grows: 0,
  roundTripMs: 0.2,
  fifo: 1,
  paceMbit: 0,
  byHost: 0,
  churn: 0,
  racks: 0,
  killed: 0,
  hostile: 0,
  conducts: [],
  seed: 1,
};

/** A region of many hosts. */
export const REGION: BroadcastPlan = {
  ...SHAPED,
  peers: 10_000,
  pieces: 1_000,
  mbit: 1000,
  seedMbit: 1000,
  roundTripMs: 1,
  fifo: 0,
  byHost: 1,
  runBytes: 256 * 1024,
};

export interface BroadcastReport {
  /** Over the bound: the last of the peers that were there from the start; headers count as time. */
  readonly ratio: number;
  /** Over F/d: the slowest of those that came later, from its own start; 0: none came. */
  readonly newcomerRatio: number;
  /** Of a file that grew: over the time of its last byte and of a piece's way through the swarm; 0: it did not. */
  readonly cutThroughRatio: number;
  readonly boundMs: number;
  readonly lastMs: number;
  /** Share of the time until the last that the peers' uplinks were busy, and the seed's. */
  readonly busy: number;
  readonly seedBusy: number;
  /** Copies that the seed gave, and bytes that honest peers received over those they needed. */
  readonly seedCopies: number;
  readonly received: number;
  /** Pieces that became whole at a peer. */
  readonly transfers: number;
  /** How often a piece came into a rack from outside, on average; 0: there are none. */
  readonly rackCopies: number;
  readonly isWhole: boolean;
  readonly trace: string;
}

/** Milliseconds that no broadcast can beat: through the seed, into a peer, out of all uplinks. */
export function boundMs(
  bytes: number,
  seedRate: number,
  downRate: number,
  upRates: number[],
): number {
  const { sourceMs, machineMs, uplinksMs } = boundTerms({
    bytes,
    machines: upRates.length,
    sourceRate: seedRate,
    downRateMin: downRate,
    upRates: upRates.reduce((sum, one) => sum + one, 0),
  });
  return Math.max(sourceMs, machineMs, uplinksMs);
}

export class Broadcast {
  readonly world: SwarmWorld;
  readonly boundMs: number;
  readonly seed: SimulatedPeer;
  /** Those that were there from the start, and those that came later. */
  readonly first: SimulatedPeer[] = [];
  readonly later: SimulatedPeer[] = [];
  readonly #plan: BroadcastPlan;
  readonly #random: Random;
  readonly #introductions: Introductions;

  constructor(plan: BroadcastPlan) {
    const { peers, pieces, pieceBytes, mbit, roundTripMs, seed } = plan;
    this.#plan = plan;
    this.#random = seededRandom(seed);
    this.world = new SwarmWorld({
      pieceBytes: Array(pieces).fill(pieceBytes),
      seed,
      roundTripMs,
      setUpMs: 5,
      runBytes: plan.runBytes,
      sendBufferBytes: 256 * 1024,
      windowBytes: 4 * 1024 * 1024,
      ...(plan.paceMbit > 0 && { paceRate: plan.paceMbit * MBIT }),
      isFifo: plan.fifo === 1,
      bucketMs: pieceBytes / (mbit * MBIT) / peers / 4,
      isByHost: plan.byHost === 1,
      onSeek: (peer) => this.#introductions.seek(peer),
    });
    this.seed = this.world.join({
      id: "r0",
      role: "relay",
      upRate: plan.seedMbit * MBIT,
      downRate: mbit * MBIT,
      seeds: plan.grows === 0,
      ...(plan.limitedEvery === undefined && limitsOf(plan)),
    });
    for (let index = 0; index < peers; index += 1) this.first.push(this.#join(`a${index}`, index));
    const rates = this.first.map(({ host }) => host.upRate);
    const { upLimitMbit = Infinity, downLimitMbit = Infinity } = plan;
    const limit = upLimitMbit * MBIT;
    this.boundMs = boundMs(
      pieces * pieceBytes,
      Math.min(limit, plan.seedMbit * MBIT),
      Math.min(downLimitMbit, mbit) * MBIT,
      rates.map((rate) => Math.min(limit, rate)),
    );
    const { world } = this;
    this.#introductions = new Introductions({ world, seeds: [this.seed], random: this.#random });
    this.#introductions.joinAll(this.first);
    this.#planLosses();
    if (plan.grows > 0) this.#planGrowth();
  }

  /** Runs it to its end. */
  run(): BroadcastReport {
    const isWhole = this.world.run(RATIO_MAX * this.boundMs);
    const { pieces, pieceBytes, mbit, racks } = this.#plan;
    const bytes = pieces * pieceBytes;
    const intoRacks = this.first.reduce((sum, { intoRackBytes }) => sum + intoRackBytes, 0);
    const survivors = this.first.filter(({ isUp, plan }) => isUp && plan.conduct === undefined);
    const newcomers = this.later.filter(({ isUp }) => isUp);
    const lastMs = latest(survivors.map(({ wholeAt }) => wholeAt));
    const newcomerMs = latest(newcomers.map((one) => tookMs(one)));
    const upMs = survivors.reduce((sum, { host }) => sum + host.busyMs, 0);
    const needed = survivors.length * bytes;
    return {
      ratio: lastMs / this.boundMs,
      newcomerRatio: newcomers.length === 0 ? 0 : newcomerMs / (bytes / (mbit * MBIT)),
      cutThroughRatio: this.#plan.grows > 0 ? lastMs / this.#grownMs : 0,
      boundMs: this.boundMs,
      lastMs,
      busy: upMs / survivors.length / this.world.now,
      seedBusy: this.seed.host.busyMs / this.world.now,
      seedCopies: this.seed.host.sentBytes / bytes,
      received: survivors.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0) / needed,
      transfers: this.world.transfers,
      rackCopies: racks === 0 ? 0 : intoRacks / bytes / racks,
      isWhole,
      trace: this.world.trace.text,
    };
  }

  #join(id: string, index: number): SimulatedPeer {
    const { mbit, slowEvery, hostile, conducts, peers, racks, limitedEvery = 1 } = this.#plan;
    const isSlow = slowEvery > 0 && index % slowEvery === 0;
    const upRate = (isSlow ? mbit / 4 : mbit) * MBIT;
    // The last of the peers are the hostile ones, so that every share of them adds to a smaller one.
    const isHostile = index >= peers * (1 - hostile);
    const conduct = isHostile ? conducts[index % conducts.length] : undefined;
    return this.world.join({
      id,
      role: "agent",
      upRate,
      downRate: mbit * MBIT,
      conduct,
      ...(racks > 0 && { rack: `${index % racks}` }),
      ...(index % limitedEvery === 0 && limitsOf(this.#plan)),
    });
  }

  /** When no peer could have all of a growing file before: its last piece takes a doubling each until all have it. */
  get #grownMs(): Instant {
    const { peers, pieces, pieceBytes, mbit, seedMbit } = this.#plan;
    const doublings = Math.ceil(Math.log2(peers + 1));
    return (pieces * pieceBytes) / (seedMbit * MBIT) + (doublings * pieceBytes) / (mbit * MBIT);
  }

  #planGrowth(): void {
    const { pieces, pieceBytes, seedMbit } = this.#plan;
    const pieceMs = pieceBytes / (seedMbit * MBIT);
    for (let piece = 0; piece < pieces; piece += 1) {
      this.world.at((piece + 1) * pieceMs, () => this.world.mirror(this.seed, piece));
    }
  }

  #planLosses(): void {
    const { churn, killed, peers } = this.#plan;
    if (killed > 0)
      this.world.at(this.boundMs / 2, () => this.#replace(Math.round(killed * peers)));
    const everyMs = 60_000 / (churn * peers);
    // Where newcomers take longer than the time between losses the run would never end.
    const lose = () => {
      if (this.first.every(({ isUp, wholeAt }) => !isUp || wholeAt !== undefined)) return;
      this.#replace(1);
      this.world.at(this.world.now + everyMs, lose);
    };
    if (churn > 0) this.world.at(everyMs, lose);
  }

  /** Kills some of those that were there from the start, and has as many fresh ones join. */
  #replace(count: number): void {
    for (let turn = 0; turn < count; turn += 1) {
      const victim = this.first[Math.floor(this.#random() * this.first.length)] as SimulatedPeer;
      if (!victim.isUp) continue;
      this.world.kill(victim);
      this.#introductions.leave(victim);
      const fresh = this.#join(`b${this.later.length}`, 1);
      this.later.push(fresh);
      this.#introductions.join(fresh);
    }
  }
}

/** Bytes a millisecond. */
function limitsOf(plan: BroadcastPlan): Pick<PeerPlan, "upLimit" | "downLimit"> {
  const rateOf = (mbit: number | undefined) => (mbit === undefined ? undefined : mbit * MBIT);
  return { upLimit: rateOf(plan.upLimitMbit), downLimit: rateOf(plan.downLimitMbit) };
}

function tookMs({ wholeAt, startedAt }: SimulatedPeer): Instant | undefined {
  return wholeAt === undefined ? undefined : wholeAt - startedAt;
}

function latest(instants: readonly (Instant | undefined)[]): number {
  return instants.reduce<number>((last, one) => Math.max(last, one ?? Number.POSITIVE_INFINITY), 0);
}
