// A small fleet to simulate in tests: 400 machines in two regions, one release of 100 MB.
import type { Summary } from "../../core/estimate/simulation-run.ts";
import type { FleetWorld } from "../../simulator/flow/fleet-world.ts";
import type { Request } from "../../simulator/flow/request-log.ts";
import { runFleet } from "../../simulator/flow/run-fleet.ts";
import { type Scenario, scenarioSchema } from "../../simulator/scenario.ts";
import { summaryOf } from "../../simulator/summary.ts";

/** Parts of a scenario that a case changes. */
export type Change = {
  readonly [Part in keyof Scenario]?: Partial<Scenario[Part]> | Scenario[Part];
};

/** The scenario with what a case changes. */
export function scenarioOf(change: Change = {}): Scenario {
  const part = <Part extends keyof Scenario>(name: Part, base: object) => ({
    ...base,
    ...(change[name] as object | undefined),
  });
  return scenarioSchema.parse({
    about: "a test",
    ...change,
    fleet: part("fleet", {
      ...{ regions: 2, machines: 400, relays: 2, machine_mbit: 1_000, relay_mbit: 10_000 },
      ...{ wan_mbit: 1_000, disk_mb_s: 400 },
    }),
    load: part("load", { requests: 1, hours: 0, peak: 1, services: 1 }),
    build: part("build", { workers: 2, p50_s: 60, p99_s: 60, failing_share: 0, pack_mb_s: 355 }),
    artifact: part("artifact", { bytes_p50: 1e8, bytes_max: 1e8, new_p50: 1, new_p95: 1 }),
    health: part("health", { p50_s: 4, p99_s: 12, within_s: 30 }),
    rollout: part("rollout", { waves: [{ percent: 10 }, { percent: 100 }], failures_percent: 10 }),
  });
}

/** Runs it to its end. */
export function simulated(
  change: Change = {},
  seed = 1,
): { readonly world: FleetWorld; readonly summary: Summary; readonly request: Request } {
  const world = runFleet(scenarioOf(change), { seed, harmMs: 0 }, () => {});
  return { world, summary: summaryOf(world), request: world.requests.get("b-0") as Request };
}
