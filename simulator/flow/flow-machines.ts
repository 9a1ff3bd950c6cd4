// The machines of a fleet, spread evenly over its regions: which service each runs, how fast its NIC is, and how many
// of each service there are in a region.
import { relayOrder } from "../../core/fleet/agent-relay-choice.ts";
import type { Random } from "../../core/swarm/random.ts";
import type { Scenario } from "../scenario.ts";
import { type AgentWorld, FlowAgent } from "./flow-agent.ts";
import type { RegionSize } from "./flow-region.ts";
import { type FlowRelay, serviceOf } from "./flow-relay.ts";
import { servicePicker } from "./scenario-parts.ts";

/** Releases that ran before the scenario begins. */
export const OLD = "old-";
const AGENT = "a-";

export interface MachinesOptions {
  readonly scenario: Scenario;
  readonly random: Random;
  readonly world: AgentWorld;
  /** Names of regions. */
  readonly regions: readonly string[];
  readonly relays: readonly FlowRelay[];
}

export class FlowMachines {
  readonly all: readonly FlowAgent[];
  readonly #ofService: ReadonlyMap<string, readonly FlowAgent[]>;
  /** By service and region. */
  readonly #sizes = new Map<string, RegionSize[]>();

  /** Makes them, each connected to its relay. */
  constructor({ scenario, random, world, regions, relays }: MachinesOptions) {
    const { machines, slow_share, slow_speed } = scenario.fleet;
    const pick = servicePicker(random, scenario.load.services);
    const relaysOf = Map.groupBy(relays, ({ region }) => region);
    this.all = Array.from({ length: machines }, (_, index) => {
      const region = regions[index % regions.length] as string;
      const service = pick();
      const speed = random() < slow_share ? slow_speed : 1;
      const candidate = { agentId: `${AGENT}${index}`, region, labels: { service } };
      const place = Math.floor(index / regions.length);
      const running = `${OLD}${service}`;
      const agent = new FlowAgent({ index, place }, candidate, speed, world, running);
      this.#count(service, index % regions.length, regions.length, speed);
      firstRelay(agent, relaysOf.get(region) ?? []).join(agent);
      return agent;
    });
    this.#ofService = Map.groupBy(this.all, serviceOf);
  }

  /** Names of services that any machine runs. */
  get services(): readonly string[] {
    return [...this.#sizes.keys()];
  }

  ofService(service: string): readonly FlowAgent[] {
    return this.#ofService.get(service) ?? [];
  }

  /** Machines of a service in a region, by its index. */
  size(service: string, region: number): RegionSize {
    return this.#sizes.get(service)?.[region] ?? noMachines();
  }

  /** Share of a NIC that a machine has, by its agent's id. */
  speedOf(agentId: string): number {
    return this.all[Number(agentId.slice(AGENT.length))]?.speed ?? 0;
  }

  #count(service: string, region: number, regions: number, speed: number): void {
    const sizes = this.#sizes.get(service) ?? Array.from({ length: regions }, noMachines);
    this.#sizes.set(service, sizes);
    const here = sizes[region] as RegionSize;
    here.count += 1;
    here.speed += speed;
    here.slowest = Math.min(here.slowest, speed);
  }
}

function noMachines(): RegionSize {
  return { count: 0, speed: 0, slowest: 1 };
}

/** As an agent's program chooses among relays that all answer. */
function firstRelay({ candidate }: FlowAgent, relays: readonly FlowRelay[]): FlowRelay {
  const known = relays.map(({ id }) => ({ id, address: id, agents: 0, capacity: 0 }));
  const [first] = relayOrder(candidate.agentId, known, new Set());
  return relays.find(({ id }) => id === first?.id) as FlowRelay;
}
