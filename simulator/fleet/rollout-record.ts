// A rollout as the simulated store keeps it, and the transactions that write it. What they change is decided by
// the same functions as in controlplane/rollouts.
import { revised, settledRelease } from "../../core/rollout/assignment-rules.ts";
import { isFinal } from "../../core/rollout/lifecycle.ts";
import type { AssignPhase } from "../../core/rollout/rollout-facts.ts";
import {
  newRolloutRow,
  type RolloutPlan,
  type RolloutRow,
} from "../../core/rollout/rollout-row.ts";
import {
  activeKey,
  beginsAtMs,
  begun,
  ended,
  type TurnRow,
  waitingPrefix,
} from "../../core/rollout/service-turns.ts";
import type { Release, Rule } from "./messages.ts";
import type { Change, Condition, StoredEntry, StoreModel } from "./store-model.ts";

export interface RolloutRecord {
  readonly id: string;
  readonly service: string;
  readonly release: Release;
  readonly previous: Release | undefined;
  readonly policy: Omit<RolloutPlan, "id" | "excludedRegions" | "answerMs" | "hasFallback">;
  readonly excludedRegions: readonly string[];
  readonly supersede: boolean;
  readonly createdAtMs: number;
  readonly traceparent: string;
  readonly row: RolloutRow;
}

export const ROLLOUTS_PREFIX = "rollouts/";
export const rolloutKey = (id: string): string => `${ROLLOUTS_PREFIX}${id}`;
export const assignmentsKey = (service: string): string => `services/${service}/assignments`;
export const rolloutByKey = (key: string): string => `rollouts-by-key/${key}`;

export function rulesOf(entry: StoredEntry | undefined): readonly Rule[] {
  return (entry?.value as readonly Rule[] | undefined) ?? [];
}

/** What the machine is asked to do. */
export function planOf({
  id,
  policy,
  excludedRegions,
  release,
  previous,
}: RolloutRecord): RolloutPlan {
  const { answerMs } = release;
  return { ...policy, id, excludedRegions, answerMs, hasFallback: previous !== undefined };
}

/** What a commit is made from, as it was read. */
export interface CommitReads {
  readonly row: StoredEntry | undefined;
  readonly assignments: StoredEntry | undefined;
  readonly active: StoredEntry | undefined;
  readonly first: StoredEntry | undefined;
}

export function readForCommit(store: StoreModel, { id, service }: RolloutRecord): CommitReads {
  return {
    row: store.get(rolloutKey(id)),
    assignments: store.get(assignmentsKey(service)),
    active: store.get(activeKey(service)),
    first: store.range(waitingPrefix(service))[0],
  };
}

/** The transaction that writes a rollout as it is now, under the leader's fence. */
export function commitChange(
  fence: Condition,
  record: RolloutRecord,
  phases: readonly AssignPhase[],
  reads: CommitReads,
): { readonly change: Change; readonly rules: readonly Rule[]; readonly isChanged: boolean } {
  const before = rulesOf(reads.assignments);
  const rules = phases.reduce<readonly Rule[]>((so, phase) => revised(so, record, phase), before);
  const isChanged = phases.length > 0 && JSON.stringify(rules) !== JSON.stringify(before);
  const operations: Change["operations"][number][] = [
    { put: rolloutKey(record.id), value: record },
  ];
  if (isChanged) operations.push({ put: assignmentsKey(record.service), value: rules });
  // A write that was taken for lost may come late: it must not undo one that came after it.
  const isAsRead = { key: rolloutKey(record.id), modRevision: reads.row?.modRevision ?? 0 };
  const compares: Condition[] = [fence, isAsRead];
  if (isFinal(record.row.state)) {
    const end = ended(record, turnRow(reads.active), turnRow(reads.first));
    compares.push(...end.compares);
    operations.push(...end.operations);
  }
  return { change: { compares, operations }, rules, isChanged };
}

/** How a service stands where a rollout is to begin. */
export interface BeginReads {
  readonly active: StoredEntry | undefined;
  /** Row of the rollout that has its turn. */
  readonly open: StoredEntry | undefined;
  readonly lastWaiting: StoredEntry | undefined;
  readonly assignments: StoredEntry | undefined;
}

export function readForBegin(store: StoreModel, service: string): BeginReads {
  const active = store.get(activeKey(service));
  return {
    active,
    open: active && store.get(rolloutKey(active.value as string)),
    lastWaiting: store.range(waitingPrefix(service)).at(-1),
    assignments: store.get(assignmentsKey(service)),
  };
}

/** The transaction that begins a rollout, if its service stands as it was read. */
export function beginChange(
  start: Omit<RolloutRecord, "previous" | "row" | "traceparent" | "createdAtMs">,
  wallMs: number,
  { active, open, lastWaiting, assignments }: BeginReads,
): { readonly record: RolloutRecord; readonly change: Change } {
  const rule = { targets: start.policy.targets, excludedRegions: start.excludedRegions };
  const record: RolloutRecord = {
    ...start,
    createdAtMs: beginsAtMs(
      wallMs,
      start.service,
      open?.value as RolloutRecord | undefined,
      lastWaiting?.key,
    ),
    previous: settledRelease(rulesOf(assignments), rule),
    traceparent: "",
    row: newRolloutRow(active !== undefined),
  };
  const turn = begun(record, turnRow(active));
  const revised = assignmentsKey(start.service);
  return {
    record,
    change: {
      compares: [
        { key: rolloutKey(record.id), is: "absent" },
        { key: revised, modRevision: assignments?.modRevision ?? 0 },
        ...turn.compares,
      ],
      operations: [{ put: rolloutKey(record.id), value: record }, ...turn.operations],
    },
  };
}

function turnRow(entry: StoredEntry | undefined): TurnRow | undefined {
  return entry && { key: entry.key, id: entry.value as string, modRevision: entry.modRevision };
}
