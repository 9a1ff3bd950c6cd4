// What equal requests are answered with, long after: rows that name a build or rollout by what it was asked for
// with. They go when what they name is out of the store and nobody asks again.
import { isForgotten } from "../../core/history/archive-plan.ts";
import { type Compare, type Operation, type Store, walk } from "../../runtime/store/store.ts";
import { buildKey, DEDUP_PREFIX } from "../builds/build-keys.ts";
import { BY_KEY_PREFIX, ROLL_BACKS_PREFIX, rolloutKey } from "../rollouts/rollout-record.ts";

/** A row to be deleted while it is as it was read. */
export interface OldRow {
  readonly compares: readonly Compare[];
  readonly operations: readonly Operation[];
}

const PLACES = [
  [DEDUP_PREFIX, buildKey],
  [BY_KEY_PREFIX, rolloutKey],
  [ROLL_BACKS_PREFIX, rolloutKey],
] as const;

/** Reads them one by one. */
export async function* oldDedupRows(store: Store, nowMs: number): AsyncGenerator<OldRow> {
  for (const [prefix, keyOf] of PLACES) {
    for await (const { key, value, modRevision } of walk(store, prefix)) {
      const id = new TextDecoder().decode(value);
      if (!isForgotten(id, nowMs) || (await store.get(keyOf(id))) !== undefined) continue;
      yield { compares: [{ key, modRevision }], operations: [{ delete: key }] };
    }
  }
}
