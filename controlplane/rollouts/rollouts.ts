// Puts the rollouts of a leader together, for one term:
//   const rollouts = await createRollouts({ store, past, fence, fleet, log, now, onBroken });
//   serve rollouts.service (RolloutService) and give rollouts.glance to the fleet's overview; then call
//   fleet.ready(). At the end of the term rollouts.stop().
// Failpoints: controlplane.before-rollout-txn, .after-rollout-txn, .before-send, .after-send.
// `onBroken` tells that nothing may be decided here any more (another leader, a broken row): end.
import type { GetStatusResponse } from "../../proto/gen/millrace/v1/fleet.ts";
import type { RolloutServiceServer } from "../../proto/gen/millrace/v1/rollouts.ts";
import type { Past } from "../history/past.ts";
import { RolloutEngine, type RolloutEngineOptions } from "./rollout-engine.ts";
import { RolloutPlanner } from "./rollout-planner.ts";
import { RolloutReader } from "./rollout-reader.ts";
import { createRolloutService } from "./rollout-service.ts";
import { RolloutStarter } from "./rollout-starter.ts";

export interface Rollouts {
  readonly engine: RolloutEngine;
  readonly service: RolloutServiceServer;
  glance(): Promise<Pick<GetStatusResponse, "rollouts" | "recent">>;
  /** Decides nothing any more; what is written down is taken up by the next leader. */
  stop(): void;
}

export interface RolloutsOptions extends RolloutEngineOptions {
  readonly past: Past;
}

/** Takes up every rollout that is open in the store. */
export async function createRollouts(options: RolloutsOptions): Promise<Rollouts> {
  const { store, past, fence, fleet, log } = options;
  const engine = new RolloutEngine(options);
  const reader = new RolloutReader({ store, past, fleet, engine });
  const starter = new RolloutStarter({ store, fence, engine });
  const planner = new RolloutPlanner(store, fleet);
  await engine.load();
  return {
    engine,
    service: createRolloutService({ engine, reader, starter, planner, log }),
    glance: () => reader.glance(),
    stop: () => engine.stop(),
  };
}
