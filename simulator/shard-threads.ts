// Threads that have some regions each and run all of them through the same windows of time. What is said
// between windows comes and goes in the order of regions, so how many threads there are changes nothing.
import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import { moduleUrl } from "../runtime/module-url.ts";
import type { RegionOrder, RegionReport, RegionResult } from "./region-broadcast.ts";
import type { ShardOrder, ShardReport, ShardTask } from "./region-shard.ts";
import type { ReleasePlan } from "./release-plan.ts";

/** Of one thread: regions of 100,000 agents in two threads take about 1.5 GB each. */
const HEAP_MB_MAX = 4096;

type TransferList = NonNullable<NonNullable<Parameters<Piscina["run"]>[1]>["transferList"]>;

interface Shard {
  readonly regions: readonly number[];
  readonly port: MessagePort;
  readonly results: Promise<RegionResult[]>;
}

export class ShardThreads {
  readonly #pool: Piscina<ShardTask, RegionResult[]>;
  readonly #shards: readonly Shard[];

  /** `workers`: threads at most; a region is run by one. `signal` ends them. */
  constructor(plan: ReleasePlan, workers: number, signal?: AbortSignal) {
    const count = Math.min(workers, plan.regions);
    this.#pool = new Piscina({
      filename: moduleUrl("./region-shard.ts", import.meta.url).href,
      minThreads: count,
      maxThreads: count,
      atomics: "disabled",
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
      recordTiming: false,
      execArgv: ["--no-require-module"],
    });
    this.#shards = Array.from({ length: count }, (_, thread) => {
      const all = Array.from({ length: plan.regions }, (_, region) => region);
      const regions = all.filter((region) => region % count === thread);
      const { port1, port2 } = new MessageChannel();
      // Its types know no list of ports.
      const transferList = [port2] as unknown as TransferList;
      const options = { transferList, ...(signal !== undefined && { signal }) };
      const results = this.#pool.run({ plan, regions, port: port2 }, options);
      // Where it fails, whoever waits for it next hears of it.
      results.catch(() => {});
      return { regions, port: port1, results };
    });
  }

  /** Runs all regions through a window; orders and reports are in the order of regions. */
  async run(orders: readonly RegionOrder[]): Promise<RegionReport[]> {
    const reports = await Promise.all(
      this.#shards.map(async ({ regions, port, results }) => {
        const reported = once(port, "message") as Promise<[ShardReport]>;
        const own: ShardOrder = regions.map((region) => orders[region] as RegionOrder);
        port.postMessage(own);
        const [report] = await Promise.race([reported, results.then(endedEarly)]);
        return report;
      }),
    );
    return reports.flat().sort((a, b) => a.at - b.at || a.region - b.region);
  }

  /** Ends the run; what became of the regions, in their order. */
  async end(): Promise<RegionResult[]> {
    for (const { port } of this.#shards) port.postMessage(undefined satisfies ShardOrder);
    const results = await Promise.all(this.#shards.map(({ results }) => results));
    return results.flat().sort((a, b) => a.region - b.region);
  }

  /** Ends the threads, whatever they do. */
  async close(): Promise<void> {
    for (const { port } of this.#shards) port.close();
    await this.#pool.destroy();
  }
}

function endedEarly(): never {
  throw new Error("a thread of the simulator ended before its last window");
}
