// Writes down that the machines of a service stay as they are until a rollout of it succeeds, as
// core/rollout/kept-service.ts has it.
import { keptRow, keptRules } from "../../core/rollout/kept-service.ts";
import { activeKey } from "../../core/rollout/service-turns.ts";
import type { Operation, Store } from "../../runtime/store/store.ts";
import { type Fence, FenceLostError, isFenced } from "../fence.ts";
import { assignmentsKey, encodeAssignments, parseAssignments } from "./assignment-list.ts";
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
      const kept = keptRules(parseAssignments(assigned));
      operations.push({ put: assigned.key, value: encodeAssignments(kept) });
    }
    if (open !== undefined) {
      compares.push({ key: open.key, modRevision: open.modRevision });
      const record = parseRollout(open);
      const kept = { ...record, row: keptRow(record.row) };
      operations.push({ put: open.key, value: encodeRollout(kept) });
    }
    if (operations.length === 0) return;
    const result = await store.transact({ compares, operations });
    if (result.committed) return;
    if (isFenced(fence, result.current[0])) throw new FenceLostError();
  }
}
