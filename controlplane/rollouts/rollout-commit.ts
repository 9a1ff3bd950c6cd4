// Writes what a rollout has decided: its row, the service's assignments where they change, and, at its
// end, who of the service is next; in one transaction under the leader's epoch.

import { revised } from "../../core/rollout/assignment-rules.ts";
import { isFinal } from "../../core/rollout/lifecycle.ts";
import type { AssignPhase } from "../../core/rollout/rollout-facts.ts";
import { activeKey, ended, waitingPrefix } from "../../core/rollout/service-turns.ts";
import type { ServiceAssignments } from "../../proto/gen/millrace/v1/fleet.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import type { Compare, Entry, Operation, Store } from "../../runtime/store/store.ts";
import { type Fence, FenceLostError, isFenced } from "../fence.ts";
import { assignmentsKey, encodeAssignments, parseAssignments, toWire } from "./assignment-list.ts";
import {
  encodedTurn,
  encodeRollout,
  parseRollout,
  type RolloutRecord,
  rolloutKey,
  turnRow,
} from "./rollout-record.ts";

export interface Committed {
  /** Store revision that the service's assignments are at. */
  readonly revision: number;
  /** They changed, or may have by an earlier try that nobody heard of; undefined: as before. */
  readonly assignments: ServiceAssignments | undefined;
}

interface Change {
  readonly compares: readonly Compare[];
  readonly operations: readonly Operation[];
}

const NOTHING: Change = { compares: [], operations: [] };

/**
 * Commits; throws FenceLostError where another leader has taken over, and what the store throws. `isAgain`: an earlier try
 * may have been committed without an answer.
 */
export async function commitRollout(
  store: Store,
  fence: Fence,
  record: RolloutRecord,
  phases: readonly AssignPhase[],
  isAgain = false,
): Promise<Committed> {
  for (;;) {
    const { service } = record;
    const [entry, written] = await Promise.all([
      store.get(assignmentsKey(service)),
      store.get(rolloutKey(record.id)),
    ]);
    const before = parseAssignments(entry);
    const known = entry?.modRevision ?? 0;
    // An end that is written is not written again: another may have its turn by now, and the assignments are that one's.
    if (written !== undefined && isFinal(parseRollout(written).row.state)) {
      return { revision: known, assignments: toWire(service, before, fence.epoch, known) };
    }
    const list = phases.reduce((so, phase) => revised(so, record, phase), before);
    const value = encodeAssignments(list);
    const isChanged = phases.length > 0 && !isSame(entry, value);
    const operations: Operation[] = [{ put: rolloutKey(record.id), value: encodeRollout(record) }];
    if (isChanged) operations.push({ put: assignmentsKey(service), value });
    const end = isFinal(record.row.state) ? await endOf(store, record) : NOTHING;
    operations.push(...end.operations);
    failpoint("controlplane.before-rollout-txn");
    // A write that was taken for lost may come late: it must not undo one that came after it.
    const isAsRead = { key: rolloutKey(record.id), modRevision: written?.modRevision ?? 0 };
    const compares = [fence.compare, isAsRead, ...end.compares];
    const result = await store.transact({ compares, operations });
    if (!result.committed) {
      if (isFenced(fence, result.current[0])) throw new FenceLostError();
      continue;
    }
    failpoint("controlplane.after-rollout-txn");
    const revision = isChanged ? result.revision : known;
    const isNews = isChanged || (isAgain && phases.length > 0);
    const assignments = isNews ? toWire(service, list, fence.epoch, revision) : undefined;
    return { revision, assignments };
  }
}

function isSame(entry: Entry | undefined, value: Uint8Array): boolean {
  return entry !== undefined && Buffer.compare(entry.value, value) === 0;
}

/** Who is next, and the rows that say so. Whoever comes meanwhile changes the active row. */
async function endOf(store: Store, record: RolloutRecord): Promise<Change> {
  const active = await store.get(activeKey(record.service));
  const waiting = await store.range({ prefix: waitingPrefix(record.service), limit: 1 });
  const { compares, operations } = ended(record, turnRow(active), turnRow(waiting.entries[0]));
  return { compares, operations: operations.map(encodedTurn) };
}
