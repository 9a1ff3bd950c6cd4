// The leader's fencing number. Every write of the leader compares it, so a replica that has lost its
// place can decide nothing any more. How a leader is elected is not its business.
import type { Compare, Store } from "../runtime/store/store.ts";

const EPOCH_KEY = "epoch";

/** An incarnation is worth so many epochs; restoring or moving the store raises it. */
const EPOCHS_PER_INCARNATION = 2 ** 32;

export interface Fence {
  /** Fencing number, never goes back. */
  readonly epoch: number;
  /** Add this to every transaction of the leader. */
  readonly compare: Compare;
}

interface EpochRow {
  readonly incarnation: number;
  readonly counter: number;
}

/** Raises the epoch in one transaction; whoever held it before is fenced off from then on. */
export async function raiseEpoch(store: Store): Promise<Fence> {
  for (;;) {
    const entry = await store.get(EPOCH_KEY);
    const before = entry === undefined ? { incarnation: 0, counter: 0 } : parse(entry.value);
    const row = { incarnation: before.incarnation, counter: before.counter + 1 };
    const value = new TextEncoder().encode(JSON.stringify(row));
    const compare: Compare =
      entry === undefined
        ? { key: EPOCH_KEY, is: "absent" }
        : { key: EPOCH_KEY, modRevision: entry.modRevision };
    const result = await store.transact({
      compares: [compare],
      operations: [{ put: EPOCH_KEY, value }],
    });
    if (!result.committed) continue;
    return {
      epoch: row.incarnation * EPOCHS_PER_INCARNATION + row.counter,
      compare: { key: EPOCH_KEY, modRevision: result.revision },
    };
  }
}

function parse(value: Uint8Array): EpochRow {
  return JSON.parse(new TextDecoder().decode(value)) as EpochRow;
}
