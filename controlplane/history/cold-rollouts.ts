// Ended rollouts that are to leave the store, the oldest first. Those stay that brought what machines run, and
// the newest of each service: by them people name what runs, and go back from it.
import { horizonOf, isBeyond, isCold } from "../../core/history/archive-plan.ts";
import { isTimed } from "../../core/history/timed-id.ts";
import { type Entry, type Store, scan, walk } from "../../runtime/store/store.ts";
import { assignmentsKey, parseAssignments, SERVICES_PREFIX } from "../rollouts/assignment-list.ts";
import {
  BY_TIME_PREFIX,
  ofServicePrefix,
  parseRollout,
  type RolloutRecord,
  removeOperations,
  rolloutKey,
} from "../rollouts/rollout-record.ts";
import { lineOf } from "./archive.ts";
import { type ColdRow, crowdedBefore } from "./cold-row.ts";

/** Reads them one by one. */
export async function* coldRollouts(
  store: Store,
  nowMs: number,
  hotMs: number,
): AsyncGenerator<ColdRow, void, void> {
  const horizon = horizonOf(nowMs, hotMs, await crowdedBefore(store, BY_TIME_PREFIX));
  const running = await runningRollouts(store);
  for await (const { key, value } of walk(store, BY_TIME_PREFIX)) {
    const createdAtMs = Number.parseInt(key.slice(BY_TIME_PREFIX.length), 10);
    if (isBeyond(createdAtMs, horizon)) break;
    const id = new TextDecoder().decode(value);
    if (running.has(id) || !isTimed({ id, createdAtMs })) continue;
    const entry = await store.get(rolloutKey(id));
    const record = entry && parseRollout(entry);
    if (entry === undefined || record === undefined || record.endedAtMs === 0) continue;
    if (!isCold(record, horizon) || (await isNewest(store, record))) continue;
    yield coldRollout(record, entry);
  }
}

/** Rollouts that assignments name: they run, or did before what is being tried. */
async function runningRollouts(store: Store): Promise<Set<string>> {
  const running = new Set<string>();
  for await (const entry of scan(store, SERVICES_PREFIX)) {
    const service = entry.key.slice(SERVICES_PREFIX.length).split("/")[0] as string;
    if (entry.key !== assignmentsKey(service)) continue;
    for (const { rollout, before } of parseAssignments(entry)) {
      running.add(rollout);
      if (before !== undefined) running.add(before.entry.rollout);
    }
  }
  return running;
}

async function isNewest(store: Store, { id, service }: RolloutRecord): Promise<boolean> {
  const prefix = ofServicePrefix(service);
  const { entries } = await store.range({ prefix, descending: true, limit: 1 });
  return entries[0] === undefined || new TextDecoder().decode(entries[0].value) === id;
}

function coldRollout(record: RolloutRecord, entry: Entry): ColdRow {
  const { id, createdAtMs, endedAtMs } = record;
  const line = lineOf(record, entry.modRevision, new TextDecoder().decode(entry.value));
  return {
    ...{ id, createdAtMs, endedAtMs, line },
    bytes: Buffer.byteLength(line),
    compares: [{ key: entry.key, modRevision: entry.modRevision }],
    operations: removeOperations(record),
  };
}
