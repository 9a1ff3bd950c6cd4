// What a thread of the simulator does: it has some regions, and runs them window by window as it is told.
import { on } from "node:events";
import type { MessagePort } from "node:worker_threads";
import {
  RegionBroadcast,
  type RegionOrder,
  type RegionReport,
  type RegionResult,
} from "./region-broadcast.ts";
import type { ReleasePlan } from "./release-plan.ts";

/** What a shard is made of, and the port on which it is told windows. */
export interface ShardTask {
  readonly plan: ReleasePlan;
  readonly regions: readonly number[];
  readonly port: MessagePort;
}

/** An order for each region of the shard, in their order; undefined: there are no more windows. */
export type ShardOrder = readonly RegionOrder[] | undefined;
export type ShardReport = readonly RegionReport[];

/** Runs windows until there are no more; called by piscina. */
export default async function runShard(task: ShardTask): Promise<RegionResult[]> {
  const { plan, port } = task;
  const regions = task.regions.map((region) => new RegionBroadcast(plan, region));
  for await (const [orders] of on(port, "message") as AsyncIterable<[ShardOrder]>) {
    if (orders === undefined) break;
    const report: ShardReport = regions.map((region, at) => region.run(orders[at] as RegionOrder));
    port.postMessage(report);
  }
  port.close();
  return regions.map((region) => region.result());
}
