// The control plane of a fleet, whoever leads it: rollouts on the machine that runs in production, each
// decision written down before it is sent, and what is written down survives its leader. The store is a
// delay and a pace of writes; how a leader is found is not its business.
import type { ServiceOrders } from "../../core/fleet/agent-facts.ts";
import type { Instant } from "../../core/machine.ts";
import { isFinal } from "../../core/rollout/lifecycle.ts";
import { Rollout } from "../../core/rollout/rollout.ts";
import { batchOf, isWritten } from "../../core/rollout/rollout-batch.ts";
import type { AssignPhase, RolloutEffect, RolloutInput } from "../../core/rollout/rollout-facts.ts";
import {
  newRolloutRow,
  type RolloutPlan,
  type RolloutRow,
} from "../../core/rollout/rollout-row.ts";
import type { Tally } from "../../core/rollout/tally.ts";
import { ROLLOUT_WRITES_PER_S, WritePace } from "../../core/rollout/write-pace.ts";
import { runnable } from "./flow-agent.ts";
import { type FlowClock, FlowDriver } from "./flow-clock.ts";
import type { FlowOrders, OrderNews } from "./flow-orders.ts";
import type { FlowRelay, RelayOrders, RolloutReport } from "./flow-relay.ts";

/** A transaction of etcd, with its flush. */
const STORE_MS = 8;
/** From region to region. */
const WAN_MS = 25;
/** A relay hands out permits for so long after the leader's last heartbeat. */
const TTL_MS = 3_000;
/** A relay's word that says the same again is told so often: what only time changes a rollout sees by itself. */
const AGAIN_MS = 5_000;
/** A store that is away is asked again. */
const STORE_RETRY_MS = 500;

/** What a service's machines run. */
interface Settled {
  readonly rollout: string;
  readonly release: string;
}

/** A rollout as it is written down. */
export interface FlowRollout {
  readonly id: string;
  readonly service: string;
  readonly release: string;
  readonly fallback: string;
  readonly plan: RolloutPlan;
  row: RolloutRow;
  phase: AssignPhase | undefined;
  revision: number;
  /** Regions that do not hold it yet. */
  missing: readonly string[];
}

type Sent = Extract<RolloutEffect, { kind: "grant" | "census" }>;

/** What the control plane needs of the fleet. */
export interface LeaderWorld {
  readonly clock: FlowClock;
  readonly relays: readonly FlowRelay[];
  readonly orders: FlowOrders;
  /** A rollout was written down anew. */
  changed(rollout: FlowRollout): void;
  note(who: number, kind: string): void;
}

export class FlowLeader {
  readonly #world: LeaderWorld;
  readonly #rollouts = new Map<string, FlowRollout>();
  /** The last that ended, by service: machines that come back are told of it. */
  readonly #last = new Map<string, FlowRollout>();
  /** By service, those that have not ended, in their turn. */
  readonly #turns = new Map<string, FlowRollout[]>();
  readonly #settled = new Map<string, Settled>();
  readonly #drivers = new Map<string, FlowDriver<RolloutInput, RolloutEffect>>();
  /** By id. */
  readonly #connected = new Map<string, FlowRelay>();
  /** By rollout and relay, what was told last, and when. */
  readonly #told = new Map<string, Map<string, { readonly tally: Tally; readonly at: Instant }>>();
  #pace = new WritePace(ROLLOUT_WRITES_PER_S);
  #epoch = 0;
  #isLed = false;
  #revision = 1;
  #storeAwayUntil: Instant = 0;
  #batches = new Map<string, RolloutEffect[]>();
  /** Facts taken and transactions made, for its load. */
  facts = 0;
  writes = 0;

  constructor(world: LeaderWorld, settled: Iterable<readonly [string, Settled]>) {
    this.#world = world;
    for (const [service, runs] of settled) this.#settled.set(service, runs);
  }

  /** What a service's machines run. */
  running(service: string): string {
    return this.#settled.get(service)?.release ?? "";
  }

  /** Rollouts that have not ended. */
  get openCount(): number {
    return this.#drivers.size;
  }

  /** Takes up a rollout, behind others of its service. */
  start(rollout: Omit<FlowRollout, "row" | "phase" | "revision">): void {
    const turns = this.#turns.get(rollout.service) ?? [];
    const row = newRolloutRow(turns.length > 0);
    const started: FlowRollout = { ...rollout, row, phase: undefined, revision: 0 };
    this.#turns.set(rollout.service, [...turns, started]);
    this.#rollouts.set(rollout.id, started);
    if (this.#isLed) this.#takeUp(started);
  }

  /** Regions hold more than before. */
  replicated(id: string, missing: readonly string[]): void {
    const rollout = this.#rollouts.get(id);
    if (rollout === undefined) return;
    rollout.missing = missing;
    this.#input(id, { kind: "replicated", missing });
  }

  /** Nobody leads: what was not written down is lost. */
  fall(): void {
    this.#isLed = false;
    for (const driver of this.#drivers.values()) driver.stop();
    this.#drivers.clear();
    this.#batches.clear();
    this.#told.clear();
    // Heartbeats hold while they come; the last one for a while.
    for (const relay of this.#connected.values())
      relay.led(this.#epoch, this.#world.clock.now + TTL_MS);
    this.#connected.clear();
  }

  /** One leads, under a higher epoch than those before, and relays find it. */
  lead(epoch: number): void {
    this.#isLed = true;
    this.#epoch = epoch;
    this.#pace = new WritePace(ROLLOUT_WRITES_PER_S);
    for (const rollout of this.#rollouts.values()) this.#takeUp(rollout);
    for (const relay of this.#world.relays) if (relay.isUp) this.connect(relay);
  }

  /** The store answers nobody before. */
  storeAway(until: Instant): void {
    this.#storeAwayUntil = Math.max(this.#storeAwayUntil, until);
  }

  connect(relay: FlowRelay): void {
    if (!this.#isLed) return;
    const epoch = this.#epoch;
    this.#world.clock.in(2 * WAN_MS, () => {
      if (epoch !== this.#epoch || !this.#isLed || !relay.isUp) return;
      this.#connected.set(relay.id, relay);
      relay.led(epoch, Number.POSITIVE_INFINITY);
      this.#tellSiblings(relay.region);
      const { orders } = this.#world;
      this.#to(relay.id, (one) => one.toldOrders(orders.open, (pack) => orders.isKept(pack)));
      for (const rollout of this.#last.values()) this.#tell(relay, rollout);
      for (const rollout of this.#rollouts.values()) this.#tell(relay, rollout);
      for (const id of this.#drivers.keys()) this.#join(id, relay);
    });
  }

  lose(relay: FlowRelay): void {
    if (!this.#connected.delete(relay.id)) return;
    relay.led(this.#epoch, this.#world.clock.now + TTL_MS);
    this.#tellSiblings(relay.region);
    for (const id of this.#drivers.keys()) this.#input(id, { kind: "relay-lost", relay: relay.id });
  }

  /** A pack is to be fetched while it grows, or grows no more. */
  ordered(news: OrderNews): void {
    for (const id of this.#connected.keys()) this.#to(id, (relay) => relay.toldOrder(news));
  }

  /** A relay's sums, on their way. */
  report(relay: FlowRelay, reports: readonly RolloutReport[]): void {
    this.#from(relay, () => {
      for (const { rollout, tally } of reports) {
        if (this.#isKnown(relay.id, rollout, tally)) continue;
        this.#input(rollout, { kind: "relay-reported", relay: relay.id, tally });
      }
    });
  }

  /** The relays of a region hear which of them are connected. */
  #tellSiblings(region: string): void {
    const here = [...this.#connected.values()].filter((relay) => relay.region === region);
    const rosters = here.map(({ roster }) => roster);
    for (const { id } of here) this.#to(id, (relay) => relay.roster.siblings(rosters));
  }

  #takeUp(rollout: FlowRollout): void {
    const { id, plan, row, missing } = rollout;
    const machine = new Rollout(plan, row, this.#epoch);
    const driver = new FlowDriver<RolloutInput, RolloutEffect>(
      this.#world.clock,
      machine,
      (effects) => this.#decided(id, effects),
    );
    this.#drivers.set(id, driver);
    const { relays } = this.#world;
    this.#input(id, { kind: "started", relays: relays.map((relay) => relay.id) });
    for (const relay of this.#connected.values()) this.#join(id, relay);
    this.#input(id, { kind: "replicated", missing });
  }

  #join(id: string, relay: FlowRelay): void {
    const { region, boot, settleMs } = relay;
    this.#input(id, {
      kind: "relay-joined",
      relay: relay.id,
      region,
      boot: String(boot),
      settleMs,
    });
  }

  #input(id: string, fact: RolloutInput): void {
    const driver = this.#drivers.get(id);
    if (driver === undefined) return;
    this.facts += 1;
    this.#world.note(-1, fact.kind);
    driver.input(fact);
  }

  /** Gathers what is decided until its turn to be written. */
  #decided(id: string, effects: readonly RolloutEffect[]): void {
    const waiting = this.#batches.get(id);
    if (waiting !== undefined) {
      waiting.push(...effects);
      return;
    }
    this.#batches.set(id, [...effects]);
    const { clock } = this.#world;
    const turn = effects.some(isWritten) ? this.#pace.turn(clock.now) + STORE_MS : clock.now;
    const epoch = this.#epoch;
    clock.at(turn, () => this.#commit(id, epoch));
  }

  #commit(id: string, epoch: number): void {
    if (epoch !== this.#epoch || !this.#isLed) return;
    const { clock } = this.#world;
    if (clock.now < this.#storeAwayUntil) {
      clock.in(STORE_RETRY_MS, () => this.#commit(id, epoch));
      return;
    }
    const batch = this.#batches.get(id) ?? [];
    this.#batches.delete(id);
    const rollout = this.#rollouts.get(id);
    if (rollout === undefined) return;
    const { row, phases, serial, sends } = batchOf(batch);
    rollout.row = row ?? rollout.row;
    rollout.phase = phases.at(-1) ?? rollout.phase;
    if (row !== undefined) this.writes += 1;
    if (serial !== undefined) {
      this.#revision += 1;
      rollout.revision = this.#revision;
      for (const relay of this.#connected.values()) this.#tell(relay, rollout);
      this.#input(id, { kind: "assigned", serial, revision: rollout.revision });
    }
    for (const effect of sends) this.#send(rollout, effect);
    this.#world.changed(rollout);
    if (isFinal(rollout.row.state)) this.#ended(rollout);
  }

  #send(rollout: FlowRollout, effect: Sent): void {
    const epoch = this.#epoch;
    if (effect.kind === "grant") {
      const { relay, wave, quota, together, ttlMs } = effect;
      const grant = { wave, quota, together, ttlMs };
      this.#to(relay, (one) => one.granted(epoch, rollout, grant));
    } else {
      for (const id of effect.relays) this.#to(id, (relay) => this.#count(relay, rollout, effect));
    }
  }

  #count(
    relay: FlowRelay,
    rollout: FlowRollout,
    effect: Extract<RolloutEffect, { kind: "census" }>,
  ): void {
    const { query, wave, low, high } = effect;
    const { plan, service } = rollout;
    const { regions = [], labels = {} } = plan.waves[wave] ?? {};
    const rule = { regions, labels };
    const asked = { rollout: plan.id, low, high, targets: plan.targets, rule };
    const count = relay.census(service, asked);
    this.#from(relay, () => {
      this.#input(rollout.id, { kind: "census-answered", relay: relay.id, query, count });
    });
  }

  #tell(relay: FlowRelay, rollout: FlowRollout): void {
    const orders = this.#ordersOf(rollout);
    if (orders !== undefined) this.#to(relay.id, (one) => one.assigned(orders));
  }

  #ordersOf(rollout: FlowRollout): RelayOrders | undefined {
    const { service, phase, revision, row, plan } = rollout;
    if (phase === undefined) return undefined;
    const isBefore = phase === "withdrawn" || phase === "restored";
    const before = this.#settled.get(service);
    const shown = isBefore && before !== undefined ? { ...before, id: before.rollout } : rollout;
    const { id, release } = shown;
    const fallback = isBefore ? "" : rollout.fallback;
    const waves = row.waves.map(({ threshold }, index) => {
      const { regions = [], labels = {} } = plan.waves[index] ?? {};
      return { threshold, regions, labels };
    });
    const about = {
      phase: isBefore ? ("final" as const) : phase,
      paused: row.paused,
      waves: isBefore ? [] : waves,
    };
    const targets = { labels: plan.targets, excludedRegions: plan.excludedRegions };
    const { answerMs } = plan;
    const epoch = this.#epoch;
    const agents: ServiceOrders = {
      ...{ epoch, revision },
      assignments: [
        {
          ...{ rollout: id, targets, keep: 0, ...about },
          release: release === "" ? undefined : runnable(release),
          fallback: fallback === "" ? undefined : runnable(fallback),
        },
      ],
    };
    const desk = { ...{ epoch, revision, release, fallback, answerMs }, ...about };
    return { service, rollout: id, desk, agents };
  }

  /** The next of its service has its turn. */
  #ended(rollout: FlowRollout): void {
    const { id, service, release, row } = rollout;
    if (row.state === "succeeded") this.#settled.set(service, { rollout: id, release });
    this.#drivers.get(id)?.stop();
    this.#drivers.delete(id);
    this.#rollouts.delete(id);
    this.#told.delete(id);
    this.#last.set(service, rollout);
    const turns = (this.#turns.get(service) ?? []).filter((one) => one !== rollout);
    this.#turns.set(service, turns);
    const next = turns[0];
    if (next !== undefined) this.#input(next.id, { kind: "turn-came" });
  }

  #isKnown(relay: string, rollout: string, tally: Tally): boolean {
    const { now } = this.#world.clock;
    const told = this.#told.get(rollout) ?? new Map();
    this.#told.set(rollout, told);
    const last = told.get(relay);
    if (last?.tally === tally && now < last.at + AGAIN_MS) return true;
    told.set(relay, { tally, at: now });
    return false;
  }

  /** Down a stream that dies with its leader. */
  #to(id: string, run: (relay: FlowRelay) => void): void {
    const relay = this.#connected.get(id);
    if (relay === undefined) return;
    const { boot } = relay;
    const epoch = this.#epoch;
    this.#world.clock.in(WAN_MS, () => {
      const isSame = epoch === this.#epoch && relay.boot === boot && relay.isUp;
      if (this.#isLed && isSame && this.#connected.has(id)) run(relay);
    });
  }

  #from(relay: FlowRelay, run: () => void): void {
    const epoch = this.#epoch;
    const { boot } = relay;
    this.#world.clock.in(WAN_MS, () => {
      const isSame = epoch === this.#epoch && relay.boot === boot && relay.isUp;
      if (this.#isLed && isSame && this.#connected.has(relay.id)) run();
    });
  }
}
