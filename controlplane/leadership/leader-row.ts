// The leader's key and the epoch's as rows of the store, and the transactions that change them: who has the place
// lies on a lease, the epoch stays, so that it never goes back. A third row says that the store did.
import { z } from "zod";
import {
  BEHIND_KEY,
  EPOCH_KEY,
  electionChange,
  LEADER_KEY,
  raisedIncarnation,
} from "../../core/leadership/election.ts";
import type { TermPoint } from "../../core/leadership/epoch.ts";
import type { Entry, LeaseId, Operation, Store } from "../../runtime/store/store.ts";
import type { Fence } from "../fence.ts";

const count = z.number().int().nonnegative();
const BehindRow = z.object({
  relay: z.string(),
  epoch: count,
  revision: count,
  ownEpoch: count,
  ownRevision: count,
  foundAtMs: count,
});
const LeaderRow = z.object({
  replica: z.string().min(1),
  address: z.string(),
  epoch: count,
  sinceMs: count,
  behind: BehindRow.optional(),
});
const EpochRow = z.object({ incarnation: count, counter: count });

/** The leader as everybody is told of it; `sinceMs` is wall-clock time, to be shown. */
export type LeaderRow = Readonly<z.infer<typeof LeaderRow>>;

/**
 * Which state of the store was seen elsewhere and by which relay (empty: an operator says so), and that of the
 * leader who noticed; `foundAtMs` is wall-clock time, to be shown.
 */
export type BehindRow = Readonly<z.infer<typeof BehindRow>>;

/** Who is elected, and at which revision of the store. */
export interface Election {
  readonly epoch: number;
  readonly revision: number;
}

/** Throws where the row is not a leader's. */
export function parseLeader(entry: Entry): LeaderRow {
  return LeaderRow.parse(JSON.parse(new TextDecoder().decode(entry.value)));
}

/**
 * Takes the place on a lease and raises the epoch; undefined: somebody has it.
 */
export async function elect(
  store: Store,
  lease: LeaseId,
  candidate: Pick<LeaderRow, "replica" | "address">,
): Promise<Election | undefined> {
  const [before, mark] = await Promise.all([store.get(EPOCH_KEY), store.get(BEHIND_KEY)]);
  const epochRow = before && { value: parseEpoch(before), modRevision: before.modRevision };
  const { epoch, raised, compares } = electionChange({ epoch: epochRow, behind: mark });
  const behind = mark && parseBehind(mark);
  const leader: LeaderRow = { ...candidate, epoch, sinceMs: Date.now(), behind };
  const result = await store.transact({
    compares,
    operations: [
      { put: LEADER_KEY, value: encode(leader), lease },
      { put: EPOCH_KEY, value: encode(raised) },
    ],
  });
  return result.committed ? { epoch, revision: result.revision } : undefined;
}

/** What this store has lost, as far as is known. */
export async function readBehind(store: Store): Promise<BehindRow | undefined> {
  const mark = await store.get(BEHIND_KEY);
  return mark && parseBehind(mark);
}

/**
 * Writes down that the store went back; leaders elected from then on decide nothing. Undefined: the fence is lost.
 */
export async function markBehind(
  store: Store,
  fence: Fence,
  seen: TermPoint & { readonly relay: string },
): Promise<BehindRow | undefined> {
  const { relay, epoch, revision } = seen;
  const own = { ownEpoch: fence.epoch, ownRevision: fence.revision };
  const row = { relay, epoch, revision, ...own, foundAtMs: Date.now() };
  const operations = [{ put: BEHIND_KEY, value: encode(row) }];
  const { committed } = await store.transact({ compares: [fence.compare], operations });
  return committed ? row : undefined;
}

/**
 * The end of going back: the incarnation is raised, above all that was seen, and with it the term ends whose
 * fence is compared. `fence.compare` must be among the compares of the transaction.
 */
export async function incarnationOperations(store: Store, seenEpoch: number): Promise<Operation[]> {
  const entry = await store.get(EPOCH_KEY);
  if (entry === undefined) throw new Error("the store of a leader has no epoch");
  const raised = raisedIncarnation(parseEpoch(entry), seenEpoch);
  return [{ put: EPOCH_KEY, value: encode(raised) }, { delete: BEHIND_KEY }];
}

function parseBehind(entry: Entry): BehindRow {
  return BehindRow.parse(JSON.parse(new TextDecoder().decode(entry.value)));
}

function parseEpoch(entry: Entry): z.infer<typeof EpochRow> {
  return EpochRow.parse(JSON.parse(new TextDecoder().decode(entry.value)));
}

function encode(row: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(row));
}
