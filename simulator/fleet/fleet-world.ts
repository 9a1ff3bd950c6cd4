// A small fleet in virtual time: three control planes on a modelled store, two regions of two relays, fifty agents.
// All that decides is what runs in production; this file puts it together, and does nothing to it.

import type { RosterMember } from "../../core/fleet/swarm-members.ts";
import { type Random, seededRandom } from "../../core/swarm/random.ts";
import type { Conduct } from "../conduct.ts";
import { Agent, type AgentWatch } from "./agent.ts";
import { BlobModel } from "./blobs.ts";
import { ControlPlane } from "./control-plane.ts";
import { FleetTrace } from "./fleet-trace.ts";
import { Network } from "./lines.ts";
import { type Fate, GOOD } from "./machine-disk.ts";
import type { RelayCommand, Release } from "./messages.ts";
import type { Ground } from "./process.ts";
import { RegionPacks, SEGMENT_BYTES, SEGMENTS } from "./region-packs.ts";
import { Relay } from "./relay.ts";
import { contentOf, sealKey, segmentKey } from "./relay-mirror.ts";
import { FAIR_WEATHER, type StoreWeather } from "./store-client.ts";
import { StoreModel } from "./store-model.ts";
import type { FailPoint } from "./term-host.ts";
import type { Worker } from "./worker.ts";

export const SERVICE = "web";
const CONTROL_PLANES = 3;
const REGIONS = ["east", "west"] as const;
const RELAYS_A_REGION = 2;
const AGENTS = 50;
/** What the service takes to be ready: often nothing, else as long as several machines are out at a time. */
const WARM_UPS_MS = [0, 0, 1_000, 3_000] as const;
/** Relays of a region tell each other of members once a second. */
const GOSSIP_MS = 1_000;

/** A put that failed is tried again. */
const PUT_RETRY_MS = 1_000;
/** Somebody takes a peer that misbehaves out of a swarm by then: what is silent for hours would take minutes of a core. */
const HOSTILE_MS = 10 * 60_000;

/** Key, content and bytes. */
type Blob = readonly [string, string, number];

/** Who looks at what happens. */
export interface FleetWatch extends AgentWatch {
  /** Looks whether all that must hold does. */
  look(): void;
  term(replica: string, epoch: number, isBegun: boolean): void;
  obeyed(relay: string, command: RelayCommand): void;
}

export class FleetWorld {
  readonly ground: Ground;
  readonly packs: RegionPacks;
  readonly random: Random;
  readonly trace = new FleetTrace();
  readonly network: Network;
  readonly store: StoreModel;
  readonly storeWeather: StoreWeather = { ...FAIR_WEATHER };
  readonly origin: BlobModel;
  readonly regionStores = new Map<string, BlobModel>();
  readonly controlPlanes: ControlPlane[] = [];
  readonly relays: Relay[] = [];
  readonly agents: Agent[] = [];
  readonly workers: Worker[] = [];
  /** By release: what becomes of it on each machine. */
  readonly fates = new Map<string, (agent: string) => Fate>();
  /** Places at which the leader dies when it comes there the next time, after so many times. */
  readonly failPoints = new Map<FailPoint, number>();
  /** Peers that misbehave, in the swarm of each pack of a region. */
  readonly hostiles: {
    readonly name: string;
    readonly region: string;
    readonly conduct: Conduct;
  }[] = [];
  /** What each control plane's wall clock is wrong by. */
  readonly wallErrorMs = new Map<string, number>();

  constructor(seed: number, watch: FleetWatch) {
    this.random = seededRandom(Math.imul(seed + 1, 0x9e3779b1));
    this.packs = new RegionPacks(seed, this.random);
    const look = (): void => watch.look();
    this.ground = { time: this.packs, trace: this.trace, random: this.random, look };
    this.network = new Network(this.ground);
    this.store = new StoreModel(this.packs);
    this.origin = new BlobModel(this.ground);
    this.#makeControlPlanes(watch);
    for (const region of REGIONS) this.#makeRegion(region, watch);
    this.#makeAgents(watch);
  }

  get now(): number {
    return this.packs.now;
  }

  /** All programs start, in turn. */
  start(): void {
    for (const one of this.controlPlanes) one.start();
    for (const one of this.relays) one.start();
    for (const one of this.workers) one.start();
    for (const one of this.agents) this.packs.at(this.random() * 1_000, () => one.start());
  }

  /** Wall-clock time as a control plane shows it. */
  wallMs(replica: string): number {
    // Whole, or keys that name a time would not sort.
    return Math.floor(1_700_000_000_000 + this.now + (this.wallErrorMs.get(replica) ?? 0));
  }

  /** Who leads, as far as it can be seen from here. */
  get leader(): ControlPlane | undefined {
    return this.controlPlanes.find((one) => one.term !== undefined && one.believes);
  }

  /** Puts a pack's segments and then its seal at the origin, as a worker does; `done`: all is there. */
  publish(release: Release, done: () => void): void {
    const { pack } = release;
    const blobs = Array.from({ length: SEGMENTS }, (_, segment) => segmentOf(pack, segment));
    this.#put([...blobs, [sealKey(pack), "seal", 1]], done);
    for (const hostile of this.hostiles) this.#joinHostile(hostile, pack);
  }

  /** Puts one segment of a pack that is being built at the origin. */
  grow(pack: string, segment: number, done: () => void): void {
    this.#put([segmentOf(pack, segment)], done);
  }

  #put(blobs: readonly Blob[], done: () => void): void {
    const [first, ...rest] = blobs;
    if (first === undefined) {
      done();
      return;
    }
    this.origin.put(...first, (error) => {
      if (error === undefined) this.#put(rest, done);
      else this.packs.at(this.now + PUT_RETRY_MS, () => this.#put(blobs, done));
    });
  }

  #joinHostile({ name, region, conduct }: FleetWorld["hostiles"][number], pack: string): void {
    this.packs.peer(name, pack, "agent", conduct);
    const member = { peerId: name, address: name, isCallable: false, zone: "", rack: "" };
    for (const relay of this.relaysOf(region)) relay.roster.join({ pack, member });
    this.packs.at(this.now + HOSTILE_MS, () => {
      this.packs.leave(name, pack);
      for (const relay of this.relaysOf(region)) relay.roster.leave(pack, name);
    });
  }

  fateOf(release: string, agent: string): Fate {
    return this.fates.get(release)?.(agent) ?? GOOD;
  }

  relaysOf(region: string): Relay[] {
    return this.relays.filter((relay) => relay.region === region);
  }

  #makeControlPlanes(watch: FleetWatch): void {
    for (let index = 0; index < CONTROL_PLANES; index += 1) {
      const { ground, store, storeWeather, origin } = this;
      const name = `c${index}`;
      this.controlPlanes.push(
        new ControlPlane({
          ...{ ground, store, storeWeather, origin, name },
          wallMs: () => this.wallMs(name),
          onReached: (replica, point) => this.#reached(replica, point),
          onTerm: (replica, epoch, isBegun) => watch.term(replica, epoch, isBegun),
        }),
      );
    }
  }

  #reached(replica: ControlPlane, point: FailPoint): void {
    const left = this.failPoints.get(point);
    if (left === undefined) return;
    if (left > 0) this.failPoints.set(point, left - 1);
    else {
      this.failPoints.delete(point);
      replica.kill();
    }
  }

  #makeRegion(region: string, watch: FleetWatch): void {
    const regionStore = new BlobModel(this.ground);
    this.regionStores.set(region, regionStore);
    for (let index = 0; index < RELAYS_A_REGION; index += 1) {
      const { ground, network, origin, packs } = this;
      this.relays.push(
        new Relay({
          ...{ ground, network, origin, packs, region, regionStore },
          relay: `${region}-${index}`,
          controlPlanes: () => this.controlPlanes.map(({ relays }) => relays),
          mates: () => this.relaysOf(region).map(({ siblings }) => siblings),
          onMember: (relay, pack, member) => this.#gossip(relay, pack, member),
          onObeyed: (one, command) => watch.obeyed(one, command),
        }),
      );
    }
  }

  #makeAgents(look: FleetWatch): void {
    const warmUpMs = WARM_UPS_MS[Math.floor(this.random() * WARM_UPS_MS.length)] ?? 0;
    for (let index = 0; index < AGENTS; index += 1) {
      const region = REGIONS[index % REGIONS.length] as string;
      const agentId = `a${index}`;
      const { ground, network, packs } = this;
      this.agents.push(
        new Agent({
          ...{ ground, network, packs, look, warmUpMs },
          service: SERVICE,
          candidate: { agentId, region, labels: {} },
          relays: () => this.relaysOf(region).map(({ agents }) => agents),
          fateOf: (release) => this.fateOf(release, agentId),
        }),
      );
    }
  }

  #gossip(from: Relay, pack: string, member: RosterMember): void {
    this.packs.at(this.now + GOSSIP_MS, () => {
      for (const relay of this.relaysOf(from.region)) {
        if (relay !== from && relay.process.isUp) relay.roster.join({ pack, member }, from.name);
      }
    });
  }
}

function segmentOf(pack: string, segment: number): Blob {
  return [segmentKey(pack, segment), contentOf(pack, segment), SEGMENT_BYTES];
}
