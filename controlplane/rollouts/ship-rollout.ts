// The rollout that follows a shipped build: prepared as part of the transaction that ends the build, so
// that it exists exactly when the release does.
import { failedPrecondition } from "../../runtime/grpc/rpc-error.ts";
import type { Store } from "../../runtime/store/store.ts";
import type { PreparedRollout, ShipChain, ShipInput } from "../builds/ship-chain.ts";
import { prepareRows } from "./new-rollout.ts";
import { checkedPolicy, checkRegions } from "./rollout-policy.ts";

/** Starts rollouts for builds. */
export class ShipRollout implements ShipChain {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async prepare({ buildId, release, ship, traceparent }: ShipInput): Promise<PreparedRollout> {
    if (release.service === "") throw failedPrecondition("the release has no service");
    const recipe = checkedPolicy(release.rollout);
    const targets = ship.overrideTargets ? ship.targets : recipe.targets;
    checkRegions("excluded_regions", ship.excludedRegions);
    const { record, compares, operations } = await prepareRows(this.#store, {
      release,
      policy: checkedPolicy({ ...recipe, targets, urgent: recipe.urgent || ship.urgent }),
      excludedRegions: ship.excludedRegions,
      supersede: ship.supersede,
      build: buildId,
      traceparent,
    });
    return { rolloutId: record.id, compares, operations };
  }
}
