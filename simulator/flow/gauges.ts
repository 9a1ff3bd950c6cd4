// What is measured of a fleet while it runs: machines active by region over time, and the load of the leader,
// the relays and the origin in their busiest second. It decides nothing.

import type { FlowAgent } from "./flow-agent.ts";
import type { FlowClock } from "./flow-clock.ts";
import type { FlowLeader } from "./flow-leader.ts";
import type { FlowRegion } from "./flow-region.ts";
import type { FlowRelay } from "./flow-relay.ts";

const SECOND_MS = 1_000;
/** Points of a line; a longer run has them farther apart. */
const POINTS_MAX = 2_000;

/** What is looked at. */
export interface GaugedFleet {
  readonly clock: FlowClock;
  readonly leader: FlowLeader;
  readonly relays: readonly FlowRelay[];
  readonly regions: readonly FlowRegion[];
  readonly agents: readonly FlowAgent[];
  readonly spanMs: number;
}

/** A moment. */
export interface Point {
  readonly atS: number;
  /** Machines that run what was rolled out last, by region. */
  readonly active: readonly number[];
  readonly openRollouts: number;
}

export class FleetGauges {
  readonly points: Point[] = [];
  peakFacts = 0;
  peakWrites = 0;
  peakOriginBytes = 0;
  peakSessions = 0;
  peakRollouts = 0;
  /** Told by one relay to its siblings. */
  peakRosterMessages = 0;
  peakMembersTold = 0;
  readonly #world: GaugedFleet;
  readonly #active: number[];
  readonly #isActive: Uint8Array;
  readonly #every: number;
  #seconds = 0;
  #before = { facts: 0, writes: 0 };
  /** By relay. */
  readonly #toldBefore: { messages: number; members: number }[];

  constructor(world: GaugedFleet) {
    this.#world = world;
    this.#active = world.regions.map(() => 0);
    this.#isActive = new Uint8Array(world.agents.length);
    this.#every = Math.max(1, Math.ceil(world.spanMs / SECOND_MS / POINTS_MAX));
    this.#toldBefore = world.relays.map(() => ({ messages: 0, members: 0 }));
    this.#tick();
  }

  /** A machine runs a new release, healthy, or does so no longer. */
  switched(agent: FlowAgent, isActive: boolean): void {
    const place = this.#world.regions.findIndex(({ name }) => name === agent.candidate.region);
    const was = this.#isActive[agent.index] as number;
    const is = isActive ? 1 : 0;
    this.#isActive[agent.index] = is;
    this.#active[place] = (this.#active[place] as number) + is - was;
  }

  #tick(): void {
    const { clock, leader, relays, regions } = this.#world;
    const { facts, writes } = leader;
    this.peakFacts = Math.max(this.peakFacts, facts - this.#before.facts);
    this.peakWrites = Math.max(this.peakWrites, writes - this.#before.writes);
    this.#before = { facts, writes };
    const pulling = regions.reduce((sum, { wan }) => sum + wan.bytesPerMs, 0);
    this.peakOriginBytes = Math.max(this.peakOriginBytes, pulling * SECOND_MS);
    for (const relay of relays) this.#lookAt(relay);
    this.peakRollouts = Math.max(this.peakRollouts, leader.openCount);
    if (this.#seconds % this.#every === 0) {
      const { openCount: openRollouts } = leader;
      this.points.push({ atS: clock.now / SECOND_MS, active: [...this.#active], openRollouts });
    }
    this.#seconds += 1;
    clock.in(SECOND_MS, () => this.#tick());
  }

  #lookAt({ index, agentCount, roster }: FlowRelay): void {
    this.peakSessions = Math.max(this.peakSessions, agentCount);
    const { messages, membersTold: members } = roster;
    const before = this.#toldBefore[index] ?? { messages: 0, members: 0 };
    this.peakRosterMessages = Math.max(this.peakRosterMessages, messages - before.messages);
    this.peakMembersTold = Math.max(this.peakMembersTold, members - before.members);
    this.#toldBefore[index] = { messages, members };
  }
}
