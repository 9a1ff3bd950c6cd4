// A whole fleet in virtual time: requests come, builds are made, packs go to regions, rollouts go by waves,
// and what the scenario says breaks. It puts the parts together and keeps the log of requests; every decision
// is made by the machines of production.
import type { BuildRow } from "../../core/builds/build-row.ts";
import { relayOrder } from "../../core/fleet/agent-relay-choice.ts";
import type { Instant } from "../../core/machine.ts";
import { PIECES_TARGET } from "../../core/release/limits.ts";
import { isFinal } from "../../core/rollout/lifecycle.ts";
import { type Random, seededRandom } from "../../core/swarm/random.ts";
import type { Scenario } from "../scenario.ts";
import { TraceHash } from "../trace-hash.ts";
import { arrival, logNormal95, logNormal99 } from "./chance.ts";
import { type AgentWorld, type Behaviour, FlowAgent } from "./flow-agent.ts";
import { type BuildsWorld, FlowBuilds } from "./flow-builds.ts";
import { FlowClock } from "./flow-clock.ts";
import { FlowElection } from "./flow-election.ts";
import { FlowLeader, type FlowRollout, type LeaderWorld } from "./flow-leader.ts";
import { FlowRegion, type FlowRelease, type PieceTimes, type RegionSize } from "./flow-region.ts";
import { FlowRelay, type RelayWorld, type RolloutReport } from "./flow-relay.ts";
import { FleetGauges } from "./gauges.ts";
import { newRequest, type OverBound, type Request } from "./request-log.ts";
import { planOf, servicePicker } from "./scenario-parts.ts";

const BYTES_PER_MS_OF_MBIT = 125;
const PIECE_BYTES_MIN = 256 * 1024;
const HOUR_MS = 3_600_000;
/** After the last request this much time must do for everything. */
const AFTER_MS = 3 * HOUR_MS;

/** Replicas draw from numbers of their own, so that a fault changes nothing of what comes else. */
const ELECTION_SEED = 0x5eed;
/** A process that crashes does so by then. */
const CRASHED_MS = 1_000;
/** Releases that ran before the scenario begins. */
const OLD = "old-";

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
  readonly trace = new TraceHash();
  readonly regions: readonly FlowRegion[];
  readonly relays: readonly FlowRelay[];
  readonly agents: readonly FlowAgent[];
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
  readonly #relaysOf: ReadonlyMap<string, readonly FlowRelay[]>;
  /** Machines by service and region, and the sum of their speeds. */
  readonly #sizes = new Map<string, RegionSize[]>();
  readonly #releases = new Map<string, FlowRelease>();
  /** Regions that hold a release. */
  readonly #held = new Map<string, Set<string>>();
  readonly #rollouts = new Map<string, FlowRollout>();
  #openCount = 0;

  constructor(scenario: Scenario, options: FleetOptions) {
    this.scenario = scenario;
    this.#harmMs = options.harmMs;
    this.random = seededRandom(options.seed);
    const { regions, relays } = scenario.fleet;
    const names = Array.from({ length: regions }, (_, index) => `region-${index + 1}`);
    this.relays = names.flatMap((region, place) =>
      Array.from({ length: relays }, (_, one) => {
        const index = place * relays + one;
        return new FlowRelay(index, `relay-${index + 1}`, region, this);
      }),
    );
    this.regions = names.map((name, place) => this.#newRegion(name, options.wholeMs?.[place]));
    this.#byName = new Map(this.regions.map((region) => [region.name, region]));
    this.#relaysOf = Map.groupBy(this.relays, ({ region }) => region);
    this.agents = this.#newAgents(names);
    const services = [...this.#sizes.keys()].map(
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

  packing(build: string, attempt: number): void {
    const request = this.requests.get(build) as Request;
    request.builtAt = this.clock.now;
    const release = this.#newRelease(request, attempt);
    const sizes = this.#sizes.get(request.service) ?? [];
    this.#held.set(release.id, new Set());
    for (const [index, region] of this.regions.entries()) {
      const here = sizes[index] ?? { count: 0, speed: 0, slowest: 1 };
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
    const { machine_mbit, relay_mbit, wan_mbit, disk_mb_s } = this.scenario.fleet;
    const rates = {
      machine: machine_mbit * BYTES_PER_MS_OF_MBIT,
      relay: relay_mbit * BYTES_PER_MS_OF_MBIT,
      wan: wan_mbit * BYTES_PER_MS_OF_MBIT,
      disk: disk_mb_s * 1_000,
    };
    const relayCount = () =>
      this.relays.filter(({ isUp, region }) => isUp && region === name).length;
    const { clock, random } = this;
    const harm = { share: this.scenario.fleet.hostile_share, ms: this.#harmMs };
    return new FlowRegion(name, rates, relayCount, { clock, random, harm, wholeMs });
  }

  #newAgents(names: readonly string[]): FlowAgent[] {
    const { machines, slow_share, slow_speed } = this.scenario.fleet;
    const pick = servicePicker(this.random, this.scenario.load.services);
    return Array.from({ length: machines }, (_, index) => {
      const place = index % names.length;
      const region = names[place] as string;
      const service = pick();
      const speed = this.random() < slow_share ? slow_speed : 1;
      const candidate = { agentId: `a-${index}`, region, labels: { service } };
      const agent = new FlowAgent(
        { index, place: Math.floor(index / names.length) },
        candidate,
        speed,
        this,
        `${OLD}${service}`,
      );
      const sizes =
        this.#sizes.get(service) ?? names.map(() => ({ count: 0, speed: 0, slowest: 1 }));
      this.#sizes.set(service, sizes);
      const here = sizes[place] as RegionSize;
      here.count += 1;
      here.speed += speed;
      here.slowest = Math.min(here.slowest, speed);
      this.#firstRelay(agent).join(agent);
      return agent;
    });
  }

  /** As an agent's program chooses among relays that all answer. */
  #firstRelay({ candidate }: FlowAgent): FlowRelay {
    const own = this.#relaysOf.get(candidate.region) ?? [];
    const known = own.map(({ id }) => ({ id, address: id, agents: 0, capacity: 0 }));
    const [first] = relayOrder(candidate.agentId, known, new Set());
    return own.find(({ id }) => id === first?.id) as FlowRelay;
  }

  #planRequests(): void {
    const { load, build } = this.scenario;
    this.#openCount = load.requests;
    const services = [...this.#sizes.keys()];
    for (let index = 0; index < load.requests; index += 1) {
      const at = this.spanMs * arrival(this.random, load.peak);
      const service = services[Math.floor(this.random() * services.length)] as string;
      const id = `b-${index}`;
      const commandMs = 1_000 * logNormal99(this.random, build.p50_s, build.p99_s);
      const isCommandBad = this.random() < build.failing_share;
      this.clock.at(at, () => {
        const request = newRequest(id, service, this.clock.now);
        request.machines = (this.#sizes.get(service) ?? []).reduce(
          (sum, { count }) => sum + count,
          0,
        );
        this.requests.set(id, request);
        const packMs = this.#bytesOf(id).releaseBytes / (build.pack_mb_s * 1_000);
        this.builds.submit({ id, service, commandMs, isCommandBad, packMs });
      });
    }
  }

  readonly #drawn = new Map<string, { releaseBytes: number; packBytes: number }>();

  #bytesOf(request: string): { readonly releaseBytes: number; readonly packBytes: number } {
    const known = this.#drawn.get(request);
    if (known !== undefined) return known;
    const { bytes_p50, bytes_max, new_p50, new_p95 } = this.scenario.artifact;
    const releaseBytes = Math.min(bytes_max, logNormal95(this.random, bytes_p50, bytes_max));
    const share = Math.min(1, logNormal95(this.random, new_p50, new_p95));
    const bytes = { releaseBytes, packBytes: releaseBytes * share };
    this.#drawn.set(request, bytes);
    return bytes;
  }

  #newRelease({ id, service }: Request, attempt: number): FlowRelease {
    const { releaseBytes, packBytes } = this.#bytesOf(id);
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
