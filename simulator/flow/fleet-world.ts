// A whole fleet in virtual time: requests come, builds are made, packs go to regions, rollouts go by waves,
// and what the scenario says breaks. It puts the parts together and keeps the log of requests; every decision
// is made by the machines of production.
import type { BuildRow } from "../../core/builds/build-row.ts";
import { CACHE_LOOK_MS, ORDER_HOLD_MS } from "../../core/fleet/piece-cache.ts";
import type { Instant } from "../../core/machine.ts";
import { PIECES_TARGET } from "../../core/release/limits.ts";
import { isFinal } from "../../core/rollout/lifecycle.ts";
import { type Random, seededRandom } from "../../core/swarm/random.ts";
import type { Scenario } from "../scenario.ts";
import { TraceHash } from "../trace-hash.ts";
import type { FlowPack } from "./agent-packs.ts";
import { arrival, logNormal99 } from "./chance.ts";
import type { AgentWorld, Behaviour, FlowAgent } from "./flow-agent.ts";
import { type BuildsWorld, FlowBuilds } from "./flow-builds.ts";
import { FlowClock } from "./flow-clock.ts";
import { FlowElection } from "./flow-election.ts";
import { FlowLeader, type FlowRollout, type LeaderWorld } from "./flow-leader.ts";
import { FlowMachines, OLD } from "./flow-machines.ts";
import { FlowOrders, type OrderNews } from "./flow-orders.ts";
import { FlowRegion, type FlowRelease, type PieceTimes } from "./flow-region.ts";
import { FlowRelay, type RelayWorld, type RolloutReport } from "./flow-relay.ts";
import { FleetGauges } from "./gauges.ts";
import { ReleaseSizes } from "./release-sizes.ts";
import { newRequest, type OverBound, type Request } from "./request-log.ts";
import { planOf } from "./scenario-parts.ts";

const BYTES_PER_MS_OF_MBIT = 125;
const PIECE_BYTES_MIN = 256 * 1024;
const HOUR_MS = 3_600_000;
/** After the last request this much time must do for everything. */
const AFTER_MS = 3 * HOUR_MS;

/** Replicas and rosters draw from numbers of their own, so that a fault changes nothing of what comes else. */
const ELECTION_SEED = 0x5eed;
const ROSTER_SEED = 0x9057;
/** A process that crashes does so by then. */
const CRASHED_MS = 1_000;
/** Machines that look at what they keep do so in so many groups, one after the other. */
const LOOK_TURNS = 5;

/** What a run is made from beside its scenario. */
export interface FleetOptions {
  readonly seed: number;
  /** What a swarm takes longer until peers that do harm are known. */
  readonly harmMs: number;
  /** By region; left out: the flow model says when a machine has a release. */
  readonly wholeMs?: PieceTimes | undefined;
}

export class FleetWorld implements AgentWorld, RelayWorld, LeaderWorld, BuildsWorld {
  readonly clock = new FlowClock();
  readonly scenario: Scenario;
  readonly random: Random;
  readonly rosterRandom: Random;
  readonly relayRate: number;
  readonly sizes: ReleaseSizes;
  readonly orders: FlowOrders;
  readonly trace = new TraceHash();
  readonly regions: readonly FlowRegion[];
  readonly relays: readonly FlowRelay[];
  readonly machines: FlowMachines;
  readonly leader: FlowLeader;
  readonly election: FlowElection;
  readonly builds: FlowBuilds;
  readonly gauges: FleetGauges;
  readonly requests = new Map<string, Request>();
  /** Faults as they happened. */
  readonly faults: { readonly atMs: Instant; readonly kind: string; readonly what: string }[] = [];
  /** From the last fault until the last agent that it cut off had a relay again. */
  backMs = 0;
  readonly #harmMs: number;
  readonly #byName: ReadonlyMap<string, FlowRegion>;
  readonly #releases = new Map<string, FlowRelease>();
  /** Regions that hold a release. */
  readonly #held = new Map<string, Set<string>>();
  readonly #rollouts = new Map<string, FlowRollout>();
  #openCount = 0;

  constructor(scenario: Scenario, options: FleetOptions) {
    this.scenario = scenario;
    this.#harmMs = options.harmMs;
    this.random = seededRandom(options.seed);
    this.rosterRandom = seededRandom(options.seed + ROSTER_SEED);
    this.sizes = new ReleaseSizes(scenario, this.random);
    const bytesOf = (build: string): number => this.sizes.of(build).packBytes;
    this.orders = new FlowOrders(bytesOf, (news) => this.#ordered(news));
    const { regions, relays, relay_mbit } = scenario.fleet;
    this.relayRate = relay_mbit * BYTES_PER_MS_OF_MBIT;
    const names = Array.from({ length: regions }, (_, index) => `region-${index + 1}`);
    this.relays = names.flatMap((region, place) =>
      Array.from({ length: relays }, (_, one) => {
        const index = place * relays + one;
        return new FlowRelay(index, `relay-${index + 1}`, region, this);
      }),
    );
    this.regions = names.map((name, place) => this.#newRegion(name, options.wholeMs?.[place]));
    this.#byName = new Map(this.regions.map((region) => [region.name, region]));
    const { random, relays: all } = this;
    this.machines = new FlowMachines({
      ...{ scenario, random, world: this, regions: names, relays: all },
    });
    const services = this.machines.services.map(
      (service) => [service, { rollout: `r-0-${service}`, release: `${OLD}${service}` }] as const,
    );
    this.leader = new FlowLeader(this, services);
    this.election = new FlowElection({
      clock: this.clock,
      random: seededRandom(options.seed + ELECTION_SEED),
      note: (who, kind) => this.note(who, kind),
      onLead: (epoch) => this.leader.lead(epoch),
      onStepDown: () => this.leader.fall(),
    });
    this.builds = new FlowBuilds(this, scenario.build.workers);
    this.gauges = new FleetGauges(this);
    this.#planRequests();
  }

  get agents(): readonly FlowAgent[] {
    return this.machines.all;
  }

  /** Milliseconds over which requests come. */
  get spanMs(): number {
    return this.scenario.load.hours * HOUR_MS;
  }

  /** Runs to the end of the last request; `told` hears now and then which share of them has ended. */
  run(told: (share: number) => void): void {
    const { requests } = this.scenario.load;
    const until = this.spanMs + AFTER_MS;
    let shown = -1;
    while (this.#openCount > 0 && this.clock.step(until)) {
      const share = Math.max(
        this.#endedShare(),
        Math.min(1, this.clock.now / (until || 1)) * (requests === 1 ? 1 : 0),
      );
      const percent = Math.floor(100 * share);
      if (percent <= shown) continue;
      shown = percent;
      told(share);
    }
  }

  note(who: number, kind: string): void {
    this.trace.noteFact(who, kind, this.clock.now);
  }

  report(relay: FlowRelay, reports: readonly RolloutReport[]): void {
    this.leader.report(relay, reports);
  }

  region(name: string): FlowRegion {
    return this.#byName.get(name) as FlowRegion;
  }

  behaviourOf(_agent: FlowAgent, release: string): Behaviour {
    const { health, bad, bad_after_s } = this.scenario;
    const withinMs = health.within_s * 1_000;
    const isNew = !release.startsWith(OLD);
    const healthyMs = 1_000 * logNormal99(this.random, health.p50_s, health.p99_s);
    const isBad = (kind: Scenario["bad"]) => isNew && bad === kind;
    const isNever = isBad("hangs") || isBad("crashes") || healthyMs > withinMs;
    return {
      healthyMs: isNever ? undefined : healthyMs,
      failedMs: isBad("crashes") ? CRASHED_MS : withinMs,
      diesAfterMs: isBad("late") ? bad_after_s * 1_000 : undefined,
    };
  }

  fetch(agent: FlowAgent, release: string, done: () => void): void {
    const region = this.region(agent.candidate.region);
    region.fetch(agent, release, () => {
      const request = this.requests.get(requestOf(release));
      if (request !== undefined && request.activeAt === undefined)
        request.stagedAt = this.clock.now;
      done();
    });
  }

  switched(agent: FlowAgent, release: string): void {
    const request = this.requests.get(requestOf(release));
    const isActive = agent.standing.phase === "active" && request !== undefined;
    this.gauges.switched(agent, isActive);
    if (!isActive || request.endedAt !== undefined) return;
    request.active += 1;
    request.activeAt = this.clock.now;
  }

  leased(build: string): void {
    const request = this.requests.get(build) as Request;
    request.leasedAt = this.clock.now;
  }

  rowChanged(row: BuildRow): void {
    this.orders.row(row);
  }

  packOf(release: string): FlowPack | undefined {
    return this.orders.pack(release);
  }

  packing(build: string, attempt: number): void {
    const request = this.requests.get(build) as Request;
    request.builtAt = this.clock.now;
    const release = this.#newRelease(request, attempt);
    this.#held.set(release.id, new Set());
    for (const [index, region] of this.regions.entries()) {
      const here = this.machines.size(request.service, index);
      region.begin(release, here, () => this.#replicated(release, region));
    }
  }

  dropped(build: string, attempt: number): void {
    this.requests.get(build)?.causes.add("worker lost");
    this.#forget(`${build}.${attempt}`);
  }

  ended(build: string, row: BuildRow): void {
    const request = this.requests.get(build) as Request;
    if (row.state !== "succeeded") {
      const reason = row.state === "failed" || row.state === "timed_out" ? row.reason : row.state;
      const isOwn = reason === "command" || reason === "attempt";
      this.#close(request, isOwn ? "own" : "fault", reason);
      return;
    }
    const release = this.#releases.get(`${build}.${row.attempt}`) as FlowRelease;
    request.packedAt = this.clock.now;
    release.packedAt = this.clock.now;
    const { id, service } = release;
    const fallback = this.leader.running(service);
    const plan = planOf(this.scenario, `r-${build}`, service);
    this.leader.start({
      ...{ id: plan.id, service, release: id, fallback, plan },
      missing: this.#missing(id),
    });
    for (const region of this.regions) region.packed(release);
  }

  changed(rollout: FlowRollout): void {
    const { state, reason } = rollout.row;
    const request = this.requests.get(requestOf(rollout.release));
    if (request === undefined) return;
    this.#rollouts.set(request.id, rollout);
    if (!isFinal(state)) return;
    const isBad = this.scenario.bad !== "nothing";
    const isRight = isBad ? state === "rolled_back" : state === "succeeded";
    this.#close(request, isRight ? "right" : "fault", isRight ? state : reason || state);
  }

  /** Something broke that requests under way may feel. */
  broke(kind: string, what: string): void {
    this.faults.push({ atMs: this.clock.now, kind, what });
    for (const request of this.requests.values()) {
      if (request.endedAt === undefined && request.requestedAt <= this.clock.now)
        request.causes.add(kind);
    }
  }

  /** An agent has a relay again. */
  joinedAgain(): void {
    this.backMs = this.clock.now - (this.faults.at(-1)?.atMs ?? 0);
  }

  /** The rollout of a request, as it was written down last. */
  rollout(request: string): FlowRollout {
    return this.#rollouts.get(request) as FlowRollout;
  }

  /** Machines look at what they keep for others a quarter of an hour later, each at a time of its own. */
  #ordered(news: OrderNews): void {
    this.leader.ordered(news);
    if (news.kind !== "ended" || !news.isKept) return;
    const agents = this.machines.ofService(news.order.service);
    for (let turn = 0; turn < LOOK_TURNS; turn += 1) {
      const looking = agents.filter(({ index }) => index % LOOK_TURNS === turn);
      this.clock.in(ORDER_HOLD_MS + ((turn + 1) * CACHE_LOOK_MS) / LOOK_TURNS, () => {
        for (const agent of looking) if (agent.isUp) agent.packs.look();
      });
    }
  }

  #replicated(release: FlowRelease, region: FlowRegion): void {
    const held = this.#held.get(release.id);
    // Of an attempt that was lost.
    if (held === undefined) return;
    held.add(region.name);
    const request = this.requests.get(requestOf(release.id));
    if (request !== undefined) request.replicatedAt = this.clock.now;
    this.leader.replicated(`r-${requestOf(release.id)}`, this.#missing(release.id));
  }

  #missing(release: string): string[] {
    const held = this.#held.get(release);
    return this.regions.filter(({ name }) => held?.has(name) !== true).map(({ name }) => name);
  }

  #close(request: Request, outcome: Request["outcome"], reason: string): void {
    request.outcome = outcome;
    request.reason = reason;
    request.endedAt = this.clock.now;
    request.distribution = this.#distributionOf(request);
    this.#openCount -= 1;
  }

  /** Of the region that took the longest over its bound. */
  #distributionOf({ id }: Request): OverBound | undefined {
    const release = [...this.#releases.values()].findLast((one) => requestOf(one.id) === id);
    if (release === undefined) return undefined;
    const all = this.regions.flatMap((region) => region.distribution(release.id) ?? []);
    const over = all.map((one) => ({
      ...one,
      ratio: (one.tookMs - one.packMs) / one.boundMs,
      wholeRatio: one.tookMs / Math.max(one.packMs, one.boundMs),
    }));
    this.#releases.delete(release.id);
    return over.toSorted((one, other) => other.ratio - one.ratio)[0];
  }

  #forget(release: string): void {
    this.#releases.delete(release);
    this.#held.delete(release);
    for (const region of this.regions) region.forget(release);
  }

  #endedShare(): number {
    return 1 - this.#openCount / this.scenario.load.requests;
  }

  #newRegion(name: string, wholeMs: Float64Array | undefined): FlowRegion {
    const { machine_mbit, wan_mbit, disk_mb_s } = this.scenario.fleet;
    const rates = {
      machine: machine_mbit * BYTES_PER_MS_OF_MBIT,
      relay: this.relayRate,
      wan: wan_mbit * BYTES_PER_MS_OF_MBIT,
      disk: disk_mb_s * 1_000,
    };
    const relayCount = () =>
      this.relays.filter(({ isUp, region }) => isUp && region === name).length;
    const { clock, random } = this;
    const harm = { share: this.scenario.fleet.hostile_share, ms: this.#harmMs };
    const speedOf = (id: string): number => this.machines.speedOf(id);
    return new FlowRegion(name, rates, relayCount, { clock, random, speedOf, harm, wholeMs });
  }

  #planRequests(): void {
    const { load, build } = this.scenario;
    this.#openCount = load.requests;
    const { services } = this.machines;
    for (let index = 0; index < load.requests; index += 1) {
      const at = this.spanMs * arrival(this.random, load.peak);
      const service = services[Math.floor(this.random() * services.length)] as string;
      const id = `b-${index}`;
      const commandMs = 1_000 * logNormal99(this.random, build.p50_s, build.p99_s);
      const isCommandBad = this.random() < build.failing_share;
      this.clock.at(at, () => {
        const request = newRequest(id, service, this.clock.now);
        request.machines = this.machines.ofService(service).length;
        this.requests.set(id, request);
        const packMs = this.sizes.of(id).releaseBytes / (build.pack_mb_s * 1_000);
        this.builds.submit({ id, service, commandMs, isCommandBad, packMs });
      });
    }
  }

  #newRelease({ id, service }: Request, attempt: number): FlowRelease {
    const { releaseBytes, packBytes } = this.sizes.of(id);
    const release: FlowRelease = {
      ...{ id: `${id}.${attempt}`, service, packBytes, releaseBytes },
      pieceBytes: Math.max(PIECE_BYTES_MIN, releaseBytes / PIECES_TARGET),
      ...{ packBeganAt: this.clock.now, packedAt: undefined },
    };
    this.#releases.set(release.id, release);
    return release;
  }
}

/** The request that a release was made for: the release without its attempt. */
function requestOf(release: string): string {
  return release.slice(0, release.lastIndexOf("."));
}
