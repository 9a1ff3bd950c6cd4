// Puts the collector of a leader together, for one term: the deleter follows the marks, the collector writes them.
import type { GarbageServiceServer } from "../../proto/gen/millrace/v1/garbage.ts";
import { Collector, type CollectorOptions } from "./collector.ts";
import { garbageService } from "./garbage-service.ts";
import { PackDeleter } from "./pack-deleter.ts";

export interface Garbage {
  readonly service: GarbageServiceServer;
  /** Ends it, and waits for what is under way. */
  stop(): Promise<void>;
}

/** Goes on with what an earlier leader left, and looks by itself from now on. */
export async function startGarbage(options: Omit<CollectorOptions, "deleter">): Promise<Garbage> {
  const deleter = new PackDeleter(options);
  const collector = new Collector({ ...options, deleter });
  await deleter.start();
  collector.start();
  return {
    service: garbageService(collector, options.log),
    stop: async () => {
      await Promise.all([deleter.stop(), collector.stop()]);
    },
  };
}
