// Puts the rollouts of the control plane together, for main.ts:
//   const rollouts = await createRollouts({ store, fence, fleet, log, now, onBroken });
//   serve rollouts.service (RolloutService); give rollouts.shipChain to the builds side and
//   rollouts.glance to the fleet's overview; then call fleet.ready(). On shutdown rollouts.stop().
// Failpoints: controlplane.before-rollout-txn, .after-rollout-txn, .before-send, .after-send.
// `onBroken` tells that nothing may be decided here any more (another leader, a broken row): end.
import type { GetStatusResponse } from "../../proto/gen/millrace/v1/fleet.ts";
import type { RolloutServiceServer } from "../../proto/gen/millrace/v1/rollouts.ts";
import type { ShipChain } from "../builds/ship-chain.ts";
import { RolloutEngine, type RolloutEngineOptions } from "./rollout-engine.ts";
import { measureRollouts } from "./rollout-metrics.ts";
import { RolloutPlanner } from "./rollout-planner.ts";
import { RolloutReader } from "./rollout-reader.ts";
import { createRolloutService } from "./rollout-service.ts";
import { RolloutStarter } from "./rollout-starter.ts";
import { ShipRollout } from "./ship-rollout.ts";

export interface Rollouts {
  readonly service: RolloutServiceServer;
  readonly shipChain: ShipChain;
  glance(): Promise<Pick<GetStatusResponse, "rollouts" | "recent">>;
  /** Decides nothing any more; what is written down is taken up by the next leader. */
  stop(): void;
}

/** Takes up every rollout that is open in the store. */
export async function createRollouts(options: RolloutEngineOptions): Promise<Rollouts> {
  const { store, fence, fleet, log } = options;
  const engine = new RolloutEngine(options);
  const reader = new RolloutReader({ store, fleet, engine });
  const starter = new RolloutStarter({ store, fence, engine });
  const planner = new RolloutPlanner(store, fleet);
  measureRollouts(engine);
  await engine.load();
  return {
    service: createRolloutService({ engine, reader, starter, planner, log }),
    shipChain: new ShipRollout(store, engine, log),
    glance: () => reader.glance(),
    stop: () => engine.stop(),
  };
}
