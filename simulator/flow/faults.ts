// The faults of a scenario as they happen in its fleet: at the instants that it names, or as often a day as it
// says, when chance has it. What follows from one is decided by those that it strikes.
import { backoffMs, RELAY_BACKOFF } from "../../core/fleet/agent-backoff.ts";
import { relayOrder } from "../../core/fleet/agent-relay-choice.ts";
import type { Instant } from "../../core/machine.ts";
import type { Fault } from "../scenario.ts";
import type { FleetWorld } from "./fleet-world.ts";
import type { FlowAgent } from "./flow-agent.ts";
import type { FlowRelay } from "./flow-relay.ts";

const DAY_MS = 24 * 3_600_000;
/** A relay welcomes so many agents in a second, and lets the others wait until they give up. */
const WELCOMES_PER_S = 2_000;
/** An agent that is not welcomed by then tries another relay. */
const WELCOME_MS_MAX = 5_000;
/** A worker is started again. */
const WORKER_BACK_MS = 60_000;

/** Has all faults of a scenario happen. */
export function scheduleFaults(world: FleetWorld): void {
  const { clock, random, scenario } = world;
  for (const fault of scenario.faults) {
    if (fault.at_s !== undefined) clock.at(fault.at_s * 1_000, () => strike(world, fault));
    const times = Math.round(((fault.per_day ?? 0) * world.spanMs) / DAY_MS);
    for (let time = 0; time < times; time += 1) {
      clock.at(random() * world.spanMs, () => strike(world, fault));
    }
  }
}

function strike(world: FleetWorld, fault: Fault): void {
  const { clock, random, election, leader, builds } = world;
  const forMs = fault.for_s * 1_000;
  const until = clock.now + forMs;
  const region = world.regions[fault.region ?? Math.floor(random() * world.regions.length)];
  const inRegion = world.relays.filter((relay) => relay.region === region?.name);
  const name = region?.name ?? "";
  switch (fault.kind) {
    case "leader-killed":
      if (election.killLeader()) world.broke(fault.kind, "another is elected");
      return;
    case "store-away":
      world.broke(fault.kind, `for ${fault.for_s} s`);
      election.storeAway(until);
      leader.storeAway(until);
      builds.away(until);
      return;
    case "relay-killed": {
      const doomed = doomedRelays(world, fault, inRegion);
      world.broke(fault.kind, doomed.map(({ id }) => id).join(", "));
      for (const relay of doomed) killRelay(world, relay, until);
      return;
    }
    case "region-cut":
      world.broke(fault.kind, name);
      region?.cut(true);
      for (const relay of inRegion) leader.lose(relay);
      clock.at(until, () => {
        region?.cut(false);
        for (const relay of inRegion) if (relay.isUp) leader.connect(relay);
      });
      return;
    case "wan-cut":
      world.broke(fault.kind, name);
      region?.cut(true);
      clock.at(until, () => region?.cut(false));
      return;
    case "worker-killed":
      world.broke(fault.kind, "one that builds");
      builds.kill(Math.floor(random() * 1e9), WORKER_BACK_MS);
      return;
    case "machines-killed": {
      const doomed = world.agents.filter(({ isUp }) => isUp && random() < (fault.share ?? 0));
      world.broke(fault.kind, `${doomed.length} machines`);
      for (const agent of doomed) killMachine(agent);
      return;
    }
    case "agents-dropped": {
      const { share = 1 } = fault;
      const connected = world.agents.filter(
        ({ relay }) => relay !== undefined && (share === 1 || random() < share),
      );
      world.broke(fault.kind, share === 1 ? "all" : `${connected.length} machines`);
      for (const agent of connected) agent.relay?.leave(agent);
      clock.at(until, () => comeBack(world, connected));
      return;
    }
    default:
      fault.kind satisfies never;
  }
}

/** Of each region the first ones, where a share of all is meant; else one by chance. */
function doomedRelays(
  world: FleetWorld,
  { share }: Fault,
  inRegion: readonly FlowRelay[],
): FlowRelay[] {
  if (share === undefined) {
    const relay = inRegion[Math.floor(world.random() * inRegion.length)];
    return relay?.isUp === true ? [relay] : [];
  }
  const { relays } = world.scenario.fleet;
  return world.relays.filter(({ isUp, index }) => isUp && (index % relays) / relays < share);
}

function killMachine(agent: FlowAgent): void {
  agent.relay?.leave(agent);
  agent.die();
}

function killRelay(world: FleetWorld, relay: FlowRelay, until: Instant): void {
  const agents = relay.kill();
  world.region(relay.region).relaysChanged();
  world.leader.lose(relay);
  comeBack(world, agents);
  world.clock.at(until, () => {
    relay.restart();
    world.region(relay.region).relaysChanged();
    world.leader.connect(relay);
  });
}

/** Agents look for a relay as the agent's program does, each at a time of its own. */
function comeBack(world: FleetWorld, agents: readonly FlowAgent[]): void {
  const door = new Map<FlowRelay, Instant>();
  const look = (agent: FlowAgent, failures: number): void => {
    const waitMs = world.random() * backoffMs(RELAY_BACKOFF, failures);
    world.clock.in(waitMs, () => dial(agent, failures));
  };
  const dial = (agent: FlowAgent, failures: number): void => {
    if (!agent.isUp || agent.relay !== undefined) return;
    const up = world.relays.filter(({ isUp, region }) => isUp && region === agent.candidate.region);
    const known = up.map(({ id, agentCount }) => ({
      id,
      address: id,
      agents: agentCount,
      capacity: 0,
    }));
    const first = relayOrder(agent.candidate.agentId, known, new Set())[0];
    const relay = up.find(({ id }) => id === first?.id);
    if (relay === undefined) {
      look(agent, failures + 1);
      return;
    }
    const { now } = world.clock;
    const at = Math.max(now, door.get(relay) ?? now) + 1_000 / WELCOMES_PER_S;
    if (at > now + WELCOME_MS_MAX) {
      world.clock.in(WELCOME_MS_MAX, () => look(agent, failures + 1));
      return;
    }
    door.set(relay, at);
    world.clock.at(at, () => {
      if (relay.isUp) welcome(agent, relay);
      else look(agent, failures + 1);
    });
  };
  const welcome = (agent: FlowAgent, relay: FlowRelay): void => {
    if (!agent.isUp) return;
    relay.join(agent);
    world.joinedAgain();
  };
  for (const agent of agents) look(agent, 1);
}
