// The rows of a rollout that begins, as part of a transaction: at once where the service has none open,
// else behind the others. Used by operators' starts and by builds that are shipped.
import { randomInt } from "node:crypto";
import { timedDigits } from "../../core/history/timed-id.ts";
import { settledRelease } from "../../core/rollout/assignment-rules.ts";
import { newRolloutRow } from "../../core/rollout/rollout-row.ts";
import {
  activeKey,
  beginsAtMs,
  begun,
  type TurnRow,
  timeName,
  waitingPrefix,
} from "../../core/rollout/service-turns.ts";
import type { Release, RolloutPolicy } from "../../proto/gen/millrace/v1/release_format.ts";
import type { Compare, Entry, Operation, Store } from "../../runtime/store/store.ts";
import { requireFooting } from "../garbage/pack-mark-row.ts";
import { assignmentsKey, parseAssignments } from "./assignment-list.ts";
import {
  BY_TIME_PREFIX,
  encodedTurn,
  encodeRollout,
  ofServicePrefix,
  parseRollout,
  type RolloutRecord,
  rolloutKey,
  turnRow,
} from "./rollout-record.ts";

export interface NewRollout {
  readonly release: Release;
  readonly policy: RolloutPolicy;
  readonly excludedRegions: readonly string[];
  readonly supersede: boolean;
  readonly build: string;
  readonly traceparent: string;
}

export interface PreparedRows {
  readonly record: RolloutRecord;
  readonly compares: readonly Compare[];
  readonly operations: readonly Operation[];
  /** Rises whenever the service's rollouts or assignments change. */
  readonly revision: number;
}

/**
 * Reads how the service stands and prepares the rows; the compares hold that it has not moved since, and that no
 * pack of the release is being collected: FAILED_PRECONDITION where one is. What it goes back to is assigned, and
 * so never marked for long.
 */
export async function prepareRows(store: Store, start: NewRollout): Promise<PreparedRows> {
  const { service } = start.release;
  const { active, assignments, revision } = await standing(store, service);
  const packs = await requireFooting(store, start.release);
  const rule = { targets: start.policy.targets, excludedRegions: start.excludedRegions };
  const createdAtMs = await beginning(store, service, turnRow(active));
  const record: RolloutRecord = {
    ...start,
    id: `r-${timedDigits(createdAtMs, randomInt(2 ** 32))}`,
    service,
    previous: settledRelease(parseAssignments(assignments), rule),
    createdAtMs,
    updatedAtMs: createdAtMs,
    endedAtMs: 0,
    row: newRolloutRow(active !== undefined),
    regions: [],
    failing: [],
  };
  const id = new TextEncoder().encode(record.id);
  const turn = begun(record, turnRow(active));
  const operations: Operation[] = [
    { put: rolloutKey(record.id), value: encodeRollout(record) },
    { put: `${BY_TIME_PREFIX}${timeName(record)}`, value: id },
    { put: `${ofServicePrefix(service)}${timeName(record)}`, value: id },
    ...turn.operations.map(encodedTurn),
    ...packs.operations,
  ];
  const compares: Compare[] = [
    { key: rolloutKey(record.id), is: "absent" },
    ...turn.compares,
    compareOf(assignmentsKey(service), assignments),
    ...packs.compares,
  ];
  return { record, compares, operations, revision };
}

/** When one begins that is behind whoever has the turn; read after that row, so that its compare guards this too. */
async function beginning(
  store: Store,
  service: string,
  active: TurnRow | undefined,
): Promise<number> {
  if (active === undefined) return Date.now();
  const [entry, waiting] = await Promise.all([
    store.get(rolloutKey(active.id)),
    store.range({ prefix: waitingPrefix(service), descending: true, limit: 1 }),
  ]);
  const record = entry && parseRollout(entry);
  return beginsAtMs(Date.now(), service, record, waiting.entries[0]?.key);
}

/** How a service stands, with the revision that plans are compared by. */
export async function standing(
  store: Store,
  service: string,
): Promise<{
  readonly active: Entry | undefined;
  readonly assignments: Entry | undefined;
  readonly revision: number;
}> {
  const [active, assignments] = await Promise.all([
    store.get(activeKey(service)),
    store.get(assignmentsKey(service)),
  ]);
  const revision = Math.max(active?.modRevision ?? 0, assignments?.modRevision ?? 0);
  return { active, assignments, revision };
}

/** Holds while an entry is as it was read. */
export function compareOf(key: string, entry: Entry | undefined): Compare {
  return entry === undefined ? { key, is: "absent" } : { key, modRevision: entry.modRevision };
}
