// Runs a fleet through its scenario, with what breaks in it.
import type { Scenario } from "../scenario.ts";
import { scheduleFaults } from "./faults.ts";
import { type FleetOptions, FleetWorld } from "./fleet-world.ts";

/** The fleet at the end; `told` hears now and then which share of its requests has ended. */
export function runFleet(
  scenario: Scenario,
  options: FleetOptions,
  told: (share: number) => void,
): FleetWorld {
  const world = new FleetWorld(scenario, options);
  scheduleFaults(world);
  world.run(told);
  return world;
}
