// Has the store forget what rows were, while this replica leads: else each heartbeat of each worker is kept for
// ever. What a watch needs that was away for some minutes stays.
import { Compaction } from "../../core/history/compaction.ts";
import { monotonicNow } from "../../runtime/driver.ts";
import type { Log } from "../../runtime/log.ts";
import type { Store } from "../../runtime/store/store.ts";
import type { Fence } from "../fence.ts";

/** Looks within the time that is kept: what is forgotten is never older than that by more than a tenth. */
const LOOKS = 10;

export interface CompactorOptions {
  readonly store: Store;
  readonly fence: Fence;
  /** History that is left, milliseconds; 0: all, somebody else compacts. */
  readonly keptMs: number;
  readonly log: Log;
}

/** Begins to compact; the returned call ends it. A compaction that fails is made good by the next. */
export function startCompacting({ store, fence, keptMs, log }: CompactorOptions): () => void {
  if (keptMs === 0) return () => {};
  const compaction = new Compaction(keptMs);
  const look = async (): Promise<void> => {
    if (!fence.holds()) return;
    const { revision } = await store.range({ prefix: "", limit: 1 });
    const due = compaction.note(monotonicNow(), revision);
    if (due !== undefined) await store.compact(due);
  };
  const timer = setInterval(() => {
    look().catch((error: unknown) => log.warn({ err: error }, "the store was not compacted yet"));
  }, keptMs / LOOKS);
  return () => clearInterval(timer);
}
