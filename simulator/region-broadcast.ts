// One region while a release comes to it: its relays bring the pack from the origin, and its agents and relays
// exchange the pieces. It runs from one window of time to the next, and between two of them hears what the
// origin has and how fast it gives; nothing else passes between regions.
import type { Instant } from "../core/machine.ts";
import { segmentBodyBytes } from "../core/release/segment-trailer.ts";
import { seededRandom } from "../core/swarm/random.ts";
import { Introductions } from "./introductions.ts";
import { RegionMirrors } from "./region-mirrors.ts";
import { agentsOf, type ReleasePlan, rateOf, type Scale, scaleOf } from "./release-plan.ts";
import type { SimulatedPeer } from "./simulated-peer.ts";
import { SwarmWorld } from "./swarm-world.ts";
import { type At, Wan } from "./wan.ts";

/** What a region hears at the start of a window. */
export interface RegionOrder {
  readonly from: Instant;
  readonly until: Instant;
  /** Segments at the origin, and whether there will be no more. */
  readonly segments: number;
  readonly isSealed: boolean;
  /** Bytes a millisecond that the origin gives it. */
  readonly wanRate: number;
}

/** What it says at the end of one. */
export interface RegionReport {
  readonly region: number;
  readonly at: Instant;
  /** It waits for the origin. */
  readonly isPulling: boolean;
  /** Agents that have every piece. */
  readonly wholeAgents: number;
  /** Every agent and relay has. */
  readonly isWhole: boolean;
  /** Pieces that changed hands. */
  readonly transfers: number;
}

/** What became of it. */
export interface RegionResult {
  readonly region: number;
  /** When each agent had every piece; Infinity: it never had. */
  readonly wholeMs: Float64Array;
  readonly bytes: {
    readonly fromOrigin: number;
    readonly fromRelays: number;
    readonly fromAgents: number;
  };
  /** Share of the time until the last that the uplinks of its relays were busy. */
  readonly relaysBusy: number;
  readonly transfers: number;
  readonly trace: string;
}

export class RegionBroadcast {
  readonly #region: number;
  readonly #plan: ReleasePlan;
  readonly #scale: Scale;
  readonly #world: SwarmWorld;
  readonly #wan: Wan;
  readonly #mirrors: RegionMirrors;
  readonly #relays: readonly SimulatedPeer[];
  readonly #agents: readonly SimulatedPeer[];

  constructor(plan: ReleasePlan, region: number) {
    this.#region = region;
    this.#plan = plan;
    this.#scale = scaleOf(plan);
    const { pieces, relaysPerRegion, storeMs } = plan;
    const agents = agentsOf(plan, region);
    const seed = Math.imul(plan.seed, 0x9e3779b1) + region;
    this.#world = this.#newWorld(agents, seed);
    this.#relays = Array.from({ length: relaysPerRegion }, (_, at) => this.#joinRelay(at));
    this.#agents = Array.from({ length: agents }, (_, at) => this.#joinAgent(at));
    this.#introduce(seed);
    const at: At = (instant, call) =>
      this.#world.at(instant / this.#scale.factor, () => call(instant));
    this.#wan = new Wan(rateOf(plan.wanMbit), at);
    const segmentPieces = piecesOfSegment(plan);
    this.#mirrors = new RegionMirrors({
      relays: this.#relays.map(({ id }) => id),
      ...{ seed, storeMs, at, wan: this.#wan },
      bytesOf: (segment) =>
        Math.min(segmentPieces, pieces - segment * segmentPieces) * plan.pieceBytes,
      serve: (relay, segment) => this.#serve(this.#relays[relay] as SimulatedPeer, segment),
    });
  }

  /** Runs it through a window. */
  run(order: RegionOrder): RegionReport {
    const { from, until, segments, isSealed, wanRate } = order;
    this.#wan.setRate(from, wanRate);
    this.#mirrors.tell(from, segments, isSealed);
    const world = this.#world;
    while (!world.isWhole && world.step(until / this.#scale.factor));
    return {
      region: this.#region,
      at: until,
      isPulling: this.#wan.isBusy,
      wholeAgents: this.#agents.filter(({ wholeAt }) => wholeAt !== undefined).length,
      isWhole: world.isWhole,
      transfers: world.transfers,
    };
  }

  /** What became of it so far. */
  result(): RegionResult {
    const { factor } = this.#scale;
    const never = Number.POSITIVE_INFINITY;
    const sum = (values: readonly number[]) => values.reduce((all, one) => all + one, 0);
    const fromRelays = sum(this.#agents.map(({ relayBytes }) => relayBytes));
    const received = sum(this.#agents.map(({ receivedBytes }) => receivedBytes));
    const busyMs = sum(this.#relays.map(({ host }) => host.busyMs));
    return {
      region: this.#region,
      wholeMs: Float64Array.from(this.#agents, ({ wholeAt = never }) => wholeAt * factor),
      bytes: {
        fromOrigin: this.#wan.pulledBytes,
        fromRelays: fromRelays * factor,
        fromAgents: (received - fromRelays) * factor,
      },
      relaysBusy: busyMs / this.#relays.length / this.#world.now,
      transfers: this.#world.transfers,
      trace: this.#world.trace.text,
    };
  }

  #newWorld(agents: number, seed: number): SwarmWorld {
    const { pieces, roundTripMs, mbit } = this.#plan;
    const { pieceBytes } = this.#scale;
    return new SwarmWorld({
      pieceBytes: Array(pieces).fill(pieceBytes),
      ...{ seed, roundTripMs },
      setUpMs: 5,
      runBytes: pieceBytes,
      sendBufferBytes: 256 * 1024,
      windowBytes: 4 * 1024 * 1024,
      isFifo: false,
      isByHost: true,
      bucketMs: pieceBytes / rateOf(mbit) / agents / 4,
    });
  }

  #joinRelay(index: number): SimulatedPeer {
    const rate = rateOf(this.#plan.relayMbit);
    return this.#world.join({ id: `r${index}`, role: "relay", upRate: rate, downRate: rate });
  }

  #joinAgent(index: number): SimulatedPeer {
    const { slowEvery, mbit } = this.#plan;
    const rate = rateOf(mbit);
    const isSlow = slowEvery > 0 && index % slowEvery === 0;
    const upRate = isSlow ? rate / 4 : rate;
    return this.#world.join({ id: `a${index}`, role: "agent", upRate, downRate: rate });
  }

  #introduce(seed: number): void {
    const random = seededRandom(seed);
    const introductions = new Introductions({ world: this.#world, seeds: this.#relays, random });
    introductions.joinAll(this.#agents);
    // Time passes so much faster here that it is over before the first bytes.
    introductions.settle();
  }

  #serve(relay: SimulatedPeer, segment: number): void {
    const count = piecesOfSegment(this.#plan);
    const end = Math.min((segment + 1) * count, this.#plan.pieces);
    for (let piece = segment * count; piece < end; piece += 1) {
      if (!relay.held.has(piece)) this.#world.mirror(relay, piece);
    }
  }
}

/** Pieces of one segment. */
export function piecesOfSegment({ pieceBytes }: ReleasePlan): number {
  return Math.max(1, Math.floor(segmentBodyBytes(pieceBytes) / pieceBytes));
}
