// How bytes come to the machines of one region: over the WAN into its relays, which all transfers of the
// region share, and through a swarm for each release, which the flow model of `core/estimate` stands in for.
import { WIRE_RATIO } from "../../core/estimate/broadcast-bound.ts";
import { type FetchTime, fetchTime } from "../../core/estimate/fetch-time.ts";
import type { Instant } from "../../core/machine.ts";
import { SEGMENT_BYTES_MAX } from "../../core/release/limits.ts";
import type { Random } from "../../core/swarm/random.ts";
import type { FlowAgent } from "./flow-agent.ts";
import type { FlowClock } from "./flow-clock.ts";
import { LateFetch } from "./late-fetch.ts";
import { SharedRate } from "./shared-rate.ts";

/** The first machine of a swarm is done so long before its last, as a share of its time: seen in swarms of pieces. */
const SPREAD = 0.05;
/** What a machine still gets after its relays had everything. */
const LAST_PIECES = 4;
/** Copies that relays give to a swarm; the others pass on what they got. */
const RELAY_COPIES = 2;

/** A release on its way. */
export interface FlowRelease {
  readonly id: string;
  readonly service: string;
  /** Encoded bytes of its pack: what moves. */
  readonly packBytes: number;
  /** Plain bytes: what each machine puts together. */
  readonly releaseBytes: number;
  readonly pieceBytes: number;
  readonly packBeganAt: Instant;
  /** Undefined: it grows still. */
  packedAt: Instant | undefined;
}

/** Peers that give nothing, as a share of all, and the time until they are known. */
export interface Harm {
  readonly share: number;
  readonly ms: number;
}

/** When machines had a release by a swarm of pieces, milliseconds from its first byte packed, in their order. */
export type PieceTimes = readonly Float64Array[];

/** Machines of a region that a release is for. */
export interface RegionSize {
  count: number;
  /** Sum of their speeds, and the least: 1 is a whole NIC. */
  speed: number;
  slowest: number;
}

export interface RegionRates {
  /** Bytes a millisecond. */
  readonly machine: number;
  readonly relay: number;
  readonly wan: number;
  readonly disk: number;
}

/** Bytes that machines got, by source. */
export interface SourceBytes {
  origin: number;
  relay: number;
  peer: number;
  local: number;
}

/** How a release came to the machines of a region, from the first byte packed on. */
export interface Distribution {
  readonly region: string;
  /** Until the last machine had fetched it. */
  readonly tookMs: number;
  readonly pieces: number;
  /** Until its last byte was packed. */
  readonly packMs: number;
  /** What no way can beat, and of that into the slowest machine. */
  readonly boundMs: number;
  readonly slowestMs: number;
  readonly time: FetchTime;
}

interface Swarm {
  readonly release: FlowRelease;
  /** Machines that it is for. */
  readonly machines: RegionSize;
  readonly time: FetchTime;
  readonly beganAt: Instant;
  /** When the last machine that lives had fetched it. */
  fetchedAt: Instant;
  /** When its last machine of full speed is done; undefined: the WAN is not yet. */
  endsAt: Instant | undefined;
  readonly waiting: (() => void)[];
}

export class FlowRegion {
  readonly name: string;
  readonly bytes: SourceBytes = { origin: 0, relay: 0, peer: 0, local: 0 };
  readonly wan: SharedRate;
  readonly #rates: RegionRates;
  readonly #relayCount: () => number;
  readonly #clock: FlowClock;
  readonly #random: Random;
  readonly #late: LateFetch;
  #isCut = false;
  readonly #swarms = new Map<string, Swarm>();
  /** By release, transfers that wait for the end of their pack. */
  readonly #pulled = new Map<string, () => void>();
  readonly #harm: Harm;
  /** By a swarm of pieces, for each machine; undefined: the flow model says. */
  readonly #wholeMs: Float64Array | undefined;

  constructor(
    name: string,
    rates: RegionRates,
    relayCount: () => number,
    world: {
      readonly clock: FlowClock;
      readonly random: Random;
      readonly speedOf: (agentId: string) => number;
      readonly harm: Harm;
      readonly wholeMs?: Float64Array | undefined;
    },
  ) {
    this.name = name;
    this.#rates = rates;
    this.#relayCount = relayCount;
    this.#clock = world.clock;
    this.#random = world.random;
    const { clock, speedOf, harm } = world;
    const { bytes } = this;
    this.#late = new LateFetch({
      ...{ clock, speedOf, bytes, harmShare: harm.share, machineRate: rates.machine },
    });
    this.#harm = world.harm;
    this.#wholeMs = world.wholeMs;
    this.wan = new SharedRate(world.clock, rates.wan / WIRE_RATIO);
  }

  /** The origin cannot be reached, or can again. */
  cut(isCut: boolean): void {
    this.#isCut = isCut;
    this.relaysChanged();
  }

  /** A relay has ended or begun: while there is none, nothing is brought here. */
  relaysChanged(): void {
    const isFlowing = !this.#isCut && this.#relayCount() > 0;
    this.wan.change(isFlowing ? this.#rates.wan / WIRE_RATIO : 0);
  }

  /** A pack begins to grow: relays pull it, machines fetch it as it comes. `replicated` is called once. */
  begin(release: FlowRelease, machines: RegionSize, replicated: () => void): void {
    const swarm: Swarm = {
      ...{ release, machines, time: this.#timeOf(release, machines) },
      ...{ beganAt: this.#clock.now, fetchedAt: 0, endsAt: undefined, waiting: [] },
    };
    this.#swarms.set(release.id, swarm);
    const pulled = (): void => {
      this.bytes.origin += release.packBytes;
      const { packedAt } = release;
      const lagMs = Math.min(release.packBytes, SEGMENT_BYTES_MAX) / this.#rates.wan;
      // Not packed yet: `packed` looks again.
      if (packedAt === undefined) return;
      this.#clock.at(Math.max(this.#clock.now, packedAt + lagMs), () => {
        swarm.endsAt = this.#endOf(swarm);
        for (const call of swarm.waiting.splice(0)) call();
        replicated();
      });
    };
    this.wan.add(release.packBytes, () => {
      if (release.packedAt === undefined) this.#pulled.set(release.id, pulled);
      else pulled();
    });
  }

  /** The pack is whole at the origin. */
  packed(release: FlowRelease): void {
    const pulled = this.#pulled.get(release.id);
    this.#pulled.delete(release.id);
    pulled?.();
  }

  /** How a release came here; undefined: it has not, or nobody fetched it. */
  distribution(release: string): Distribution | undefined {
    const swarm = this.#swarms.get(release);
    if (swarm === undefined || swarm.fetchedAt === 0) return undefined;
    const { beganAt, fetchedAt, time } = swarm;
    const packMs = (swarm.release.packedAt ?? beganAt) - beganAt;
    const { packBytes, pieceBytes } = swarm.release;
    const pieces = Math.ceil(packBytes / pieceBytes);
    const slowestMs = packBytes / (this.#rates.machine * swarm.machines.slowest);
    const boundMs = Math.max(time.boundMs, slowestMs);
    return {
      region: this.name,
      tookMs: fetchedAt - beganAt,
      pieces,
      packMs,
      boundMs,
      slowestMs,
      time,
    };
  }

  /** Nobody fetches it any more. */
  forget(release: string): void {
    this.#swarms.delete(release);
  }

  /** Calls back when a machine has the release on its disk, put together. */
  fetch(agent: FlowAgent, release: string, done: () => void): void {
    const swarm = this.#swarms.get(release);
    if (swarm === undefined) {
      // What runs elsewhere of old: from the peers that have it.
      this.#clock.in(SPREAD, done);
      return;
    }
    if (swarm.endsAt === undefined) {
      swarm.waiting.push(() => this.fetch(agent, release, done));
      return;
    }
    const { packBytes, releaseBytes } = swarm.release;
    const joinedAt = agent.packs.joinedAt(release);
    if (joinedAt === undefined) {
      agent.packs.whenJoined(release, () => this.fetch(agent, release, done));
      return;
    }
    const early = SPREAD * this.#random() * (swarm.endsAt - swarm.beganAt);
    const stageMs = (releaseBytes / this.#rates.disk) * (0.5 + 0.5 * this.#random());
    if (joinedAt > swarm.endsAt) {
      const staged = (): void => {
        this.#countLocal(swarm);
        this.#clock.in(stageMs, done);
      };
      this.#late.draw(agent, release, packBytes, staged);
      return;
    }
    this.#count(swarm);
    const beganAt = Math.max(swarm.beganAt, joinedAt);
    const ownAt = beganAt + (packBytes * WIRE_RATIO) / (this.#rates.machine * agent.speed);
    const pieceMs = this.#wholeMs?.[agent.place];
    const fetchedAt =
      pieceMs === undefined
        ? Math.max(swarm.endsAt - early, ownAt)
        : Math.max(this.#clock.now, beganAt + pieceMs);
    swarm.fetchedAt = Math.max(swarm.fetchedAt, fetchedAt);
    this.#clock.at(Math.max(this.#clock.now, fetchedAt) + stageMs, done);
  }

  #timeOf(release: FlowRelease, machines: RegionSize): FetchTime {
    const { machine, relay, wan } = this.#rates;
    return fetchTime({
      region: this.name,
      machines: machines.count,
      replicateBytes: release.packBytes,
      fetchBytes: release.packBytes,
      pieceBytes: release.pieceBytes,
      wanRate: wan,
      relayRate: Math.max(1, this.#relayCount()) * relay,
      upRates: (1 - this.#harm.share) * machines.speed * machine,
      downRateMin: machine,
    });
  }

  #endOf({ release, time, beganAt }: Swarm): Instant {
    if (this.#wholeMs !== undefined) {
      return Math.max(this.#clock.now, beganAt + this.#wholeMs.reduce((a, b) => Math.max(a, b), 0));
    }
    const lagMs = (LAST_PIECES * release.pieceBytes) / this.#rates.machine;
    return Math.max(beganAt + this.#harm.ms + time.fetchedMs, this.#clock.now + lagMs);
  }

  #count(swarm: Swarm): void {
    const { release, machines } = swarm;
    const copies = Math.min(1, RELAY_COPIES / Math.max(1, machines.count));
    this.bytes.relay += copies * release.packBytes;
    this.bytes.peer += (1 - copies) * release.packBytes;
    this.#countLocal(swarm);
  }

  #countLocal({ release }: Swarm): void {
    this.bytes.local += Math.max(0, release.releaseBytes - release.packBytes);
  }
}
