// What a load run consists of: its regions and relays, and which process drives how many of its agents. Plain data, and
// the limits of what may be asked for.
import { CommandError, EXIT } from "../../runtime/program/exit-codes.ts";
import { regionNames } from "../up/system-plan.ts";

/** Agents of one driver: one Node process with 100,000 streams stands still for 8-29 s when it collects garbage. */
const DRIVER_AGENTS_MAX = 10_000;
/** Streams that a connection of a driver takes; a relay takes 256. */
export const CONNECTION_AGENTS_MAX = 250;
const AGENTS_MAX = 200_000;
const RELAYS_MAX = 40;
/** Relays of one region: two, so that one of them can be killed. */
const RELAYS_A_REGION = 2;
/** Agents that a relay takes unless told: what it is sized for. */
const CAPACITY_MIN = 20_000;

/** The agents of one driver process. */
export interface DriverPlan {
  readonly region: string;
  /** Agents are named `<prefix>-<number>`. */
  readonly prefix: string;
  readonly agents: number;
}

export interface LoadPlan {
  readonly agents: number;
  readonly regions: readonly string[];
  readonly relaysPerRegion: number;
  /** Agents that each relay takes: all of its region, should the others be gone. */
  readonly relayCapacity: number;
  readonly drivers: readonly DriverPlan[];
}

/** The plan for so many agents and relays; throws CommandError where that cannot be. */
export function planLoad(agents: number, relays: number): LoadPlan {
  checkCount("--agents", agents, 1, AGENTS_MAX);
  checkCount("--relays", relays, 2, RELAYS_MAX);
  if (relays % RELAYS_A_REGION !== 0) {
    throw new CommandError(EXIT.usage, `--relays ${relays}: expected an even number, two a region`);
  }
  const regionCount = Math.min(relays / RELAYS_A_REGION, REGIONS_MAX);
  const relaysPerRegion = relays / regionCount;
  if (!Number.isInteger(relaysPerRegion)) {
    const sizes = `up to ${REGIONS_MAX} regions of two, or a multiple of ${REGIONS_MAX}`;
    throw new CommandError(EXIT.usage, `--relays ${relays}: expected ${sizes}`);
  }
  const regions = regionNames(String(regionCount));
  const shares = regions.map((region, index) => ({
    region,
    agents: share(agents, regions.length, index),
  }));
  return {
    agents,
    regions,
    relaysPerRegion,
    relayCapacity: Math.max(CAPACITY_MIN, ...shares.map((one) => one.agents)),
    drivers: shares.flatMap((one) => planDrivers(one.region, one.agents, `load-${one.region}`)),
  };
}

/** One relay with so many agents, each of which is to have a connection of its own. */
export function planConnections(agents: number): LoadPlan {
  const [region = ""] = regionNames("1");
  return {
    ...{ agents, regions: [region], relaysPerRegion: 1, relayCapacity: CAPACITY_MIN },
    drivers: planDrivers(region, agents, "load-connections"),
  };
}

/** The drivers of one region's agents. */
export function planDrivers(region: string, agents: number, prefix: string): DriverPlan[] {
  const count = Math.ceil(agents / DRIVER_AGENTS_MAX);
  return Array.from({ length: count }, (_, index) => ({
    region,
    prefix: `${prefix}-${index}`,
    agents: share(agents, count, index),
  }));
}

/** Regions that `up` has names for. */
const REGIONS_MAX = 10;

/** The index-th of so many nearly equal parts. */
function share(whole: number, parts: number, index: number): number {
  return Math.floor((whole * (index + 1)) / parts) - Math.floor((whole * index) / parts);
}

function checkCount(flag: string, count: number, countMin: number, countMax: number): void {
  if (Number.isInteger(count) && count >= countMin && count <= countMax) return;
  throw new CommandError(EXIT.usage, `${flag} ${count}: expected ${countMin} to ${countMax}`);
}
