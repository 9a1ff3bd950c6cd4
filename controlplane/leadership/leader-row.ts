// The leader's key and the epoch's as rows of the store, and the transaction that takes the place: who has it
// lies on a lease, the epoch stays, so that it never goes back.
import { z } from "zod";
import type { Compare, Entry, LeaseId, Store } from "../../runtime/store/store.ts";

/** Who leads; absent: nobody. */
export const LEADER_KEY = "leader";
const EPOCH_KEY = "epoch";

/** An incarnation is worth so many epochs; restoring or moving the store raises it. */
const EPOCHS_PER_INCARNATION = 2 ** 32;

const count = z.number().int().nonnegative();
const LeaderRow = z.object({
  replica: z.string().min(1),
  address: z.string(),
  epoch: count,
  sinceMs: count,
});
const EpochRow = z.object({ incarnation: count, counter: count });

/** The leader as everybody is told of it; `sinceMs` is wall-clock time, to be shown. */
export type LeaderRow = Readonly<z.infer<typeof LeaderRow>>;

/** Who is elected, and at which revision of the store. */
export interface Election {
  readonly epoch: number;
  readonly revision: number;
}

/** Throws where the row is not a leader's. */
export function parseLeader(entry: Entry): LeaderRow {
  return LeaderRow.parse(JSON.parse(new TextDecoder().decode(entry.value)));
}

/** What each write of a leader compares: that the epoch is still the one of its election. */
export function epochCompare({ revision }: Election): Compare {
  return { key: EPOCH_KEY, modRevision: revision };
}

/**
 * Takes the place on a lease and raises the epoch; undefined: somebody has it.
 */
export async function elect(
  store: Store,
  lease: LeaseId,
  candidate: Pick<LeaderRow, "replica" | "address">,
): Promise<Election | undefined> {
  const before = await store.get(EPOCH_KEY);
  const { incarnation, counter } =
    before === undefined ? { incarnation: 0, counter: 0 } : parseEpoch(before);
  const row = { incarnation, counter: counter + 1 };
  const epoch = incarnation * EPOCHS_PER_INCARNATION + row.counter;
  const leader: LeaderRow = { ...candidate, epoch, sinceMs: Date.now() };
  const result = await store.transact({
    compares: [
      { key: LEADER_KEY, is: "absent" },
      { key: EPOCH_KEY, modRevision: before?.modRevision ?? 0 },
    ],
    operations: [
      { put: LEADER_KEY, value: encode(leader), lease },
      { put: EPOCH_KEY, value: encode(row) },
    ],
  });
  return result.committed ? { epoch, revision: result.revision } : undefined;
}

function parseEpoch(entry: Entry): z.infer<typeof EpochRow> {
  return EpochRow.parse(JSON.parse(new TextDecoder().decode(entry.value)));
}

function encode(row: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(row));
}
