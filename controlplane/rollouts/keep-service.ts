// Has the machines of a service stay as they are until its next rollout, because the store has forgotten what
// they were told last: what it says would take all of them back at once. Open rollouts are paused.
import { isFinal } from "../../core/rollout/lifecycle.ts";
import type { RolloutState } from "../../core/rollout/rollout-row.ts";
import { activeKey } from "../../core/rollout/service-turns.ts";
import type { Operation, Store } from "../../runtime/store/store.ts";
import { type Fence, FenceLostError, isFenced } from "../fence.ts";
import {
  type AssignmentEntry,
  assignmentsKey,
  encodeAssignments,
  parseAssignments,
} from "./assignment-list.ts";
import { encodeRollout, parseRollout, rolloutKey } from "./rollout-record.ts";

/** Done once or several times it is the same. Throws FenceLostError where another leads. */
export async function keepService(store: Store, fence: Fence, service: string): Promise<void> {
  for (;;) {
    const assigned = await store.get(assignmentsKey(service));
    const active = await store.get(activeKey(service));
    const open = active && (await store.get(rolloutKey(new TextDecoder().decode(active.value))));
    const compares = [
      fence.compare,
      { key: assignmentsKey(service), modRevision: assigned?.modRevision ?? 0 },
      { key: activeKey(service), modRevision: active?.modRevision ?? 0 },
    ];
    const operations: Operation[] = [];
    if (assigned !== undefined) {
      const kept = parseAssignments(assigned).map(keptEntry);
      operations.push({ put: assigned.key, value: encodeAssignments(kept) });
    }
    if (open !== undefined) {
      compares.push({ key: open.key, modRevision: open.modRevision });
      const record = parseRollout(open);
      const { state, paused } = record.row;
      const row = { ...record.row, paused: paused || isPausable(state) };
      operations.push({ put: open.key, value: encodeRollout({ ...record, row }) });
    }
    if (operations.length === 0) return;
    const result = await store.transact({ compares, operations });
    if (result.committed) return;
    if (isFenced(fence, result.current[0])) throw new FenceLostError();
  }
}

/** Going back is not stopped, as at any other time. */
function isPausable(state: RolloutState): boolean {
  return !isFinal(state) && state !== "rolling_back";
}

function keptEntry(entry: AssignmentEntry, index: number): AssignmentEntry {
  if (entry.phase === "open") return { ...entry, paused: true };
  // It is still what the machines under this rule could go back to.
  if (entry.phase === "final") return { ...entry, phase: "frozen", before: { entry, index } };
  return entry;
}
