// One relay of a fleet: a permit desk for each open rollout, as in production, its agents, and its sums for
// the leader, which go when something has changed, once a second, or after two seconds without news.

import { WIRE_RATIO } from "../../core/estimate/broadcast-bound.ts";
import { RELAY_BACKOFF } from "../../core/fleet/agent-backoff.ts";
import type { ServiceOrders } from "../../core/fleet/agent-facts.ts";
import { type PaceEffect, type PaceInput, ReportPace } from "../../core/fleet/report-pace.ts";
import type { Instant } from "../../core/machine.ts";
import { type CensusCount, type CountQuestion, countMachines } from "../../core/rollout/census.ts";
import { PermitDesk } from "../../core/rollout/permit-desk.ts";
import type { DeskAssignment, DeskEffect, DeskInput } from "../../core/rollout/permit-facts.ts";
import type { KeptPermit } from "../../core/rollout/permit-ledger.ts";
import { tallyOf } from "../../core/rollout/permit-tally.ts";
import type { Grant } from "../../core/rollout/permits.ts";
import { AWAY_MS } from "../../core/rollout/relay-desks.ts";
import type { Tally } from "../../core/rollout/tally.ts";
import type { FlowPack } from "./agent-packs.ts";
import type { FlowAgent } from "./flow-agent.ts";
import { FlowDriver } from "./flow-clock.ts";
import type { FlowOrder, OrderNews } from "./flow-orders.ts";
import { RelayRoster, type RosterWorld } from "./relay-roster.ts";
import { SharedRate } from "./shared-rate.ts";

/** To an agent or from one. */
const LAN_MS = 1;
/** What came in a moment is looked at together: a permit is kept on disk before it is sent. */
const KEEP_MS = 5;
const FAILING_MAX = 10;

/** A rollout as its relays are told of it. */
export interface RelayOrders {
  readonly service: string;
  readonly rollout: string;
  readonly desk: DeskAssignment;
  readonly agents: ServiceOrders;
}

/** What a relay reports of one rollout. */
export interface RolloutReport {
  readonly rollout: string;
  readonly tally: Tally;
}

/** What a relay needs of the fleet. */
export interface RelayWorld extends RosterWorld {
  /** Of a relay's uplink, bytes a millisecond. */
  readonly relayRate: number;
  /** Sends a report to the leader, if it is connected to one. */
  report(relay: FlowRelay, reports: readonly RolloutReport[]): void;
}

interface OpenDesk {
  readonly desk: PermitDesk;
  readonly driver: FlowDriver<DeskInput, DeskEffect>;
  orders: RelayOrders;
  tally: Tally | undefined;
}

export class FlowRelay {
  readonly index: number;
  readonly id: string;
  readonly region: string;
  isUp = true;
  boot = 0;
  /** By service. */
  readonly agents = new Map<string, Set<FlowAgent>>();
  agentCount = 0;
  readonly roster: RelayRoster;
  readonly uplink: SharedRate;
  readonly #byId = new Map<string, FlowAgent>();
  readonly #world: RelayWorld;
  /** Of rollouts that are under way, by service. */
  readonly #desks = new Map<string, OpenDesk>();
  /** What each service's machines should run. */
  readonly #orders = new Map<string, RelayOrders>();
  /** Packs that are fetched while they grow; undefined until a leader has told it. */
  #packs: Map<string, FlowOrder> | undefined;
  /** On its disk. */
  readonly #kept = new Map<string, Map<string, KeptPermit>>();
  #led: { readonly epoch: number; readonly until: Instant } = { epoch: -1, until: 0 };
  #settlesAt: Instant = 0;
  #pace: FlowDriver<PaceInput, PaceEffect>;
  #isChanged = false;

  constructor(index: number, id: string, region: string, world: RelayWorld) {
    this.index = index;
    this.id = id;
    this.region = region;
    this.#world = world;
    this.roster = new RelayRoster(this, world);
    this.uplink = new SharedRate(world.clock, world.relayRate / WIRE_RATIO);
    this.#pace = this.#newPace();
  }

  /** How long agents may still be on their way back to it. */
  get settleMs(): number {
    return Math.max(0, this.#settlesAt - this.#world.clock.now);
  }

  join(agent: FlowAgent): void {
    const service = serviceOf(agent);
    const here = this.agents.get(service) ?? new Set();
    this.agents.set(service, here.add(agent));
    this.#byId.set(agent.candidate.agentId, agent);
    this.agentCount += 1;
    agent.relay = this;
    const orders = this.#orders.get(service);
    agent.packs.connected(this.roster, this.#packsOf(service));
    if (orders !== undefined) agent.assigned(orders.agents);
    const open = this.#desks.get(service);
    if (open !== undefined) this.#stand(open, agent, true);
  }

  leave(agent: FlowAgent): void {
    const service = serviceOf(agent);
    if (this.agents.get(service)?.delete(agent) !== true) return;
    this.#byId.delete(agent.candidate.agentId);
    this.agentCount -= 1;
    agent.relay = undefined;
    agent.packs.gone();
    // It may be back in a moment; until then it counts as a machine that says nothing.
    const open = this.#desks.get(service);
    if (open === undefined) return;
    const { candidate } = agent;
    this.#input(open, {
      kind: "stood",
      candidate,
      standing: undefined,
      connected: false,
      away: true,
    });
    this.#world.clock.in(AWAY_MS, () => {
      const isBack = this.#byId.has(candidate.agentId);
      const known = this.#desks.get(service)?.desk.members.has(candidate.agentId) === true;
      if (!isBack && known) this.#gone(service, candidate.agentId);
    });
  }

  #gone(service: string, agentId: string): void {
    const open = this.#desks.get(service);
    if (open !== undefined) this.#input(open, { kind: "gone", agentId });
  }

  /** An agent has said something; it is here a moment later. */
  heard(agent: FlowAgent): void {
    this.#world.clock.in(LAN_MS, () => {
      if (!this.isUp || agent.relay !== this || !agent.isUp) return;
      const open = this.#desks.get(serviceOf(agent));
      if (open?.desk.rollout === agent.standing.rollout) this.#stand(open, agent, false);
    });
  }

  /** A service's rule has changed. */
  assigned(orders: RelayOrders): void {
    if (!this.isUp) return;
    const { service, rollout } = orders;
    this.#orders.set(service, orders);
    const open = this.#desks.get(service);
    if (open !== undefined && (open.desk.rollout !== rollout || !isLive(orders.desk))) {
      this.#close(service, open);
    }
    const here = [...(this.agents.get(service) ?? [])];
    if (isLive(orders.desk)) this.#feed(orders, here);
    this.#world.clock.in(LAN_MS, () => {
      for (const agent of here) if (agent.relay === this) agent.assigned(orders.agents);
    });
  }

  /** A machine's orders to fetch packs, as a leader told them last; none that has ended is among them. */
  toldOrders(open: readonly FlowOrder[], isKept: (pack: string) => boolean): void {
    const before = this.#packs ?? new Map<string, FlowOrder>();
    this.#packs = before;
    for (const order of [...before.values()]) {
      if (!open.includes(order)) {
        this.toldOrder({ kind: "ended", order, isKept: isKept(order.pack.id) });
      }
    }
    for (const order of open) {
      if (!before.has(order.pack.id)) this.toldOrder({ kind: "begun", order });
    }
  }

  /** An order has begun or ended. */
  toldOrder(news: OrderNews): void {
    const { pack, service } = news.order;
    if (news.kind === "begun") this.#packs?.set(pack.id, news.order);
    else this.#packs?.delete(pack.id);
    const here = [...(this.agents.get(service) ?? [])];
    this.#world.note(this.index, news.kind);
    this.#world.clock.in(LAN_MS, () => {
      for (const agent of here) {
        if (agent.relay !== this) continue;
        if (news.kind === "begun") agent.packs.ordered(pack);
        else agent.packs.orderEnded(pack.id, news.isKept);
      }
    });
  }

  #packsOf(service: string): FlowPack[] | undefined {
    if (this.#packs === undefined) return undefined;
    const orders = [...this.#packs.values()];
    return orders.filter((order) => order.service === service).map(({ pack }) => pack);
  }

  granted(
    epoch: number,
    { service, id: rollout }: { readonly service: string; readonly id: string },
    grant: Omit<Grant, "relay"> & { wave: number; ttlMs: number },
  ): void {
    const open = this.#desks.get(service);
    if (open?.desk.rollout === rollout) this.#input(open, { kind: "granted", epoch, ...grant });
  }

  /** The leader lives until then. */
  led(epoch: number, until: Instant): void {
    this.#led = { epoch, until };
    for (const open of this.#desks.values()) open.driver.input({ kind: "led", epoch, until });
  }

  census(service: string, asked: CountQuestion): CensusCount {
    const here = [...(this.agents.get(service) ?? [])].filter(({ isUp }) => isUp);
    return countMachines(
      here.map(({ candidate }) => candidate),
      asked,
      // Who is away is left out.
      () => false,
    );
  }

  /** kill -9: its agents are somebody else's. */
  kill(): readonly FlowAgent[] {
    this.isUp = false;
    this.boot += 1;
    this.#pace.stop();
    for (const { driver } of this.#desks.values()) driver.stop();
    this.#desks.clear();
    this.#orders.clear();
    this.#packs = undefined;
    this.roster.kill();
    const agents = [...this.#byId.values()];
    for (const agent of agents) {
      agent.relay = undefined;
      agent.packs.gone();
    }
    this.uplink.break();
    this.agents.clear();
    this.#byId.clear();
    this.agentCount = 0;
    return agents;
  }

  restart(): void {
    this.isUp = true;
    this.roster.restart();
    this.#settlesAt = this.#world.clock.now + RELAY_BACKOFF.mostMs;
    this.#pace = this.#newPace();
  }

  #feed(orders: RelayOrders, here: readonly FlowAgent[]): void {
    const known = this.#desks.get(orders.service);
    const open = known ?? this.#open(orders);
    open.orders = orders;
    this.#input(open, { kind: "assigned", assignment: orders.desk });
    if (known === undefined) for (const agent of here) this.#stand(open, agent, true);
    this.#pace.input({ kind: "awaited" });
  }

  #open(orders: RelayOrders): OpenDesk {
    const { rollout, desk: about } = orders;
    const kept = [...(this.#kept.get(rollout)?.values() ?? [])];
    const { clock } = this.#world;
    // A machine takes a known id for a repeat: ids of an earlier start must not come again.
    const prefix = `${this.id}.${this.boot}.${rollout}`;
    const desk = new PermitDesk(rollout, prefix, kept, clock.now, about.answerMs);
    const perform = (effects: readonly DeskEffect[]) => this.#perform(open, effects);
    const driver = new FlowDriver(clock, desk, perform, KEEP_MS);
    const open: OpenDesk = { desk, driver, orders, tally: undefined };
    this.#desks.set(orders.service, open);
    driver.input({ kind: "led", ...this.#led });
    return open;
  }

  #close(service: string, { desk, driver }: OpenDesk): void {
    driver.stop();
    this.#desks.delete(service);
    this.#kept.delete(desk.rollout);
  }

  #stand(open: OpenDesk, { candidate, standing, isUp }: FlowAgent, connected: boolean): void {
    if (!isUp) return;
    this.#input(open, { kind: "stood", candidate, standing, connected });
  }

  #input(open: OpenDesk, fact: DeskInput): void {
    this.#world.note(this.index, fact.kind);
    open.tally = undefined;
    open.driver.input(fact);
    this.#changed();
  }

  #perform(open: OpenDesk, effects: readonly DeskEffect[]): void {
    const { rollout, orders } = { rollout: open.desk.rollout, orders: open.orders };
    const kept = this.#kept.get(rollout) ?? new Map<string, KeptPermit>();
    this.#kept.set(rollout, kept);
    open.tally = undefined;
    this.#changed();
    for (const effect of effects) {
      kept.set(effect.permit.id, effect.permit);
      if (effect.kind !== "send") continue;
      const { id, agentId, epoch, wave } = effect.permit;
      const { ttlMs } = effect;
      const { release } = orders.desk;
      this.#world.clock.in(LAN_MS, () => {
        this.#byId.get(agentId)?.permitted({ id, rollout, epoch, wave, ttlMs, release });
      });
    }
  }

  #newPace(): FlowDriver<PaceInput, PaceEffect> {
    const isBusy = () => [...this.#desks.values()].some(({ desk }) => desk.ledger.isAnyOpen);
    this.#isChanged = false;
    const pace = new FlowDriver<PaceInput, PaceEffect>(
      this.#world.clock,
      new ReportPace(isBusy),
      () => this.#report(),
    );
    pace.input({ kind: "changed" });
    return pace;
  }

  /** What has changed once is told with all that changes until then. */
  #changed(): void {
    if (this.#isChanged) return;
    this.#isChanged = true;
    this.#pace.input({ kind: "changed" });
  }

  #report(): void {
    this.#isChanged = false;
    this.#pace.input({ kind: "sent" });
    const reports: RolloutReport[] = [];
    for (const open of this.#desks.values()) {
      const { assignment, rollout } = open.desk;
      if (assignment === undefined) continue;
      open.tally ??= tally(open.desk, assignment);
      reports.push({ rollout, tally: open.tally });
    }
    this.#world.report(this, reports);
  }
}

function isLive({ phase }: DeskAssignment): boolean {
  return phase === "open" || phase === "rollback";
}

/** The service that runs on a machine, which its label names. */
export function serviceOf({ candidate }: FlowAgent): string {
  return candidate.labels["service"] ?? "";
}

function tally(desk: PermitDesk, { epoch, revision, phase }: DeskAssignment): Tally {
  const { waves, ...counts } = tallyOf(desk, FAILING_MAX);
  return { ...counts, epoch, revision, isRollback: phase === "rollback", waves };
}
