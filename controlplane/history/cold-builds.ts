// Ended builds that are to leave the store, the oldest first. What equal requests share stays behind: they are
// answered from the archive.
import { isLive } from "../../core/builds/build-row.ts";
import { horizonOf, isBeyond, isCold } from "../../core/history/archive-plan.ts";
import { isTimed } from "../../core/history/timed-id.ts";
import { type Entry, type Store, walk } from "../../runtime/store/store.ts";
import {
  buildKey,
  ENDED_STATES,
  idOfIndexKey,
  removeOperations,
  statePrefix,
} from "../builds/build-keys.ts";
import { decodeBuild } from "../builds/build-row-json.ts";
import { lineOf } from "./archive.ts";
import { type ColdRow, crowdedBefore } from "./cold-row.ts";

/** Reads them one by one; those whose id does not say when they were made could not be found again, and stay. */
export async function* coldBuilds(
  store: Store,
  nowMs: number,
  hotMs: number,
): AsyncGenerator<ColdRow, void, void> {
  for (const state of ENDED_STATES) {
    const prefix = statePrefix(state);
    const horizon = horizonOf(nowMs, hotMs, await crowdedBefore(store, prefix));
    for await (const { key } of walk(store, prefix)) {
      const place = { createdAtMs: Number.parseInt(key.slice(prefix.length), 10) };
      if (isBeyond(place.createdAtMs, horizon)) break;
      const id = idOfIndexKey(key);
      const entry = isTimed({ ...place, id }) ? await store.get(buildKey(id)) : undefined;
      if (entry === undefined) continue;
      const row = decodeBuild(entry.value);
      if (!isLive(row) && isCold(row, horizon)) yield coldBuild(row, entry);
    }
  }
}

function coldBuild(
  row: Exclude<ReturnType<typeof decodeBuild>, { readonly state: "queued" | "leased" }>,
  entry: Entry,
): ColdRow {
  const { id, createdAtMs, endedAtMs } = row;
  const line = lineOf(row, entry.modRevision, new TextDecoder().decode(entry.value));
  return {
    ...{ id, createdAtMs, endedAtMs, line },
    bytes: Buffer.byteLength(line),
    compares: [{ key: entry.key, modRevision: entry.modRevision }],
    operations: removeOperations(row),
  };
}
