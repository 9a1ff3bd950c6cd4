// A rollout as a row of the store, and the keys it is found by. Times here are wall-clock milliseconds
// that are only shown; what the machine needs to go on is in `row`.
import { z } from "zod";
import type { RolloutPlan, RolloutRow } from "../../core/rollout/rollout-row.ts";
import { type TurnChange, type TurnRow, timeName } from "../../core/rollout/service-turns.ts";
import { Release, RolloutPolicy } from "../../proto/gen/millrace/v1/release_format.ts";
import { FailingAgent, RegionProgress } from "../../proto/gen/millrace/v1/rollouts.ts";
import type { Entry, Operation } from "../../runtime/store/store.ts";

/** Where a recipe says nothing of how long a machine may take to become healthy. */
const HEALTH_WITHIN_MS_DEFAULT = 30_000;
/** Where it says nothing of how long an old process may take to end. */
const DRAIN_MS_DEFAULT = 10_000;
/** Beside draining and health: stopping, starting, and the report's way. Relays allow the same. */
const ANSWER_GRACE_MS = 10_000;

export interface RolloutRecord {
  readonly id: string;
  readonly service: string;
  readonly release: Release;
  /** What the service ran before; undefined: nothing. */
  readonly previous: Release | undefined;
  /** Build that it follows; empty: none. */
  readonly build: string;
  readonly policy: RolloutPolicy;
  readonly excludedRegions: readonly string[];
  /** It takes the place of rollouts before it instead of waiting. */
  readonly supersede: boolean;
  readonly traceparent: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** 0: not yet. */
  readonly endedAtMs: number;
  readonly row: RolloutRow;
  /** As last heard before it ended. */
  readonly regions: readonly RegionProgress[];
  readonly failing: readonly FailingAgent[];
}

const count = z.number().int().nonnegative();
const Ledger = z.object({
  relay: z.string(),
  boot: z.string(),
  epoch: count,
  quota: count,
  // Before, all of a quota could be out.
  together: count.default(Number.MAX_SAFE_INTEGER),
});
const Row = z.object({
  state: z.enum([
    "waiting",
    "replicating",
    "activating",
    "baking",
    "rolling_back",
    "succeeded",
    "rolled_back",
    "aborted",
    "failed",
  ]),
  reason: z.string(),
  message: z.string(),
  paused: z.boolean(),
  wave: count,
  waves: z.array(
    z.object({
      size: count,
      threshold: count,
      planned: count.optional(),
      matching: count,
      activeBefore: count,
      permitted: count,
      healthy: count,
      failed: count,
    }),
  ),
  ledgers: z.array(Ledger),
  settled: z.object({ succeeded: count, failed: count }),
  permittedRelays: z.array(z.string()).default([]),
});
const Stored = z.object({
  id: z.string().regex(/^r-[0-9a-f]{16}$/),
  service: z.string().min(1),
  release: z.unknown(),
  previous: z.unknown().optional(),
  build: z.string(),
  policy: z.unknown(),
  excludedRegions: z.array(z.string()),
  supersede: z.boolean(),
  traceparent: z.string(),
  createdAtMs: count,
  updatedAtMs: count,
  endedAtMs: count,
  row: Row,
  regions: z.array(z.unknown()),
  failing: z.array(z.unknown()),
});

const ROLLOUTS_PREFIX = "rollouts/";
export const BY_TIME_PREFIX = "rollouts-by-time/";

export const rolloutKey = (id: string): string => `${ROLLOUTS_PREFIX}${id}`;
export const ofServicePrefix = (service: string): string => `rollouts-of/${service}/`;
export const BY_KEY_PREFIX = "rollouts-by-key/";
export const ROLL_BACKS_PREFIX = "roll-backs-by-key/";
export const idempotencyKey = (key: string): string => `${BY_KEY_PREFIX}${encodeURIComponent(key)}`;
/** Names the open rollout that was told to go back under this key. */
export const rollBackKey = (key: string): string =>
  `${ROLL_BACKS_PREFIX}${encodeURIComponent(key)}`;

/** A row that names a rollout, as turns are decided by it. */
export function turnRow(entry: Entry | undefined): TurnRow | undefined {
  return (
    entry && {
      key: entry.key,
      id: new TextDecoder().decode(entry.value),
      modRevision: entry.modRevision,
    }
  );
}

/** A change of turns as the store takes it. */
export function encodedTurn(operation: TurnChange["operations"][number]): Operation {
  if ("delete" in operation) return operation;
  return { put: operation.put, value: new TextEncoder().encode(operation.value) };
}

/** Operations that take an ended rollout out of the store; what its idempotency key says stays. */
export function removeOperations(record: RolloutRecord): Operation[] {
  return [
    { delete: rolloutKey(record.id) },
    { delete: `${BY_TIME_PREFIX}${timeName(record)}` },
    { delete: `${ofServicePrefix(record.service)}${timeName(record)}` },
  ];
}

export function encodeRollout(record: RolloutRecord): Uint8Array {
  const json = {
    ...record,
    release: Release.toJSON(record.release),
    previous: record.previous && Release.toJSON(record.previous),
    policy: RolloutPolicy.toJSON(record.policy),
    regions: record.regions.map((region) => RegionProgress.toJSON(region)),
    failing: record.failing.map((agent) => FailingAgent.toJSON(agent)),
  };
  return new TextEncoder().encode(JSON.stringify(json));
}

/** Throws where the row is not a rollout's. */
export function parseRollout(entry: Entry): RolloutRecord {
  return recordOf(JSON.parse(new TextDecoder().decode(entry.value)));
}

/** The same for what JSON.parse gave. */
export function recordOf(json: unknown): RolloutRecord {
  const stored = Stored.parse(json);
  return {
    ...stored,
    release: Release.fromJSON(stored.release),
    previous: stored.previous === undefined ? undefined : Release.fromJSON(stored.previous),
    policy: RolloutPolicy.fromJSON(stored.policy),
    row: { ...stored.row, waves: stored.row.waves.map((w) => ({ ...w, planned: w.planned })) },
    regions: stored.regions.map((region) => RegionProgress.fromJSON(region)),
    failing: stored.failing.map((agent) => FailingAgent.fromJSON(agent)),
  };
}

/** What the machine is asked to do. */
export function planOf(record: RolloutRecord): RolloutPlan {
  const { id, release, policy, excludedRegions, previous } = record;
  const drainMs = release.activation?.drainMs || DRAIN_MS_DEFAULT;
  return {
    id,
    waves: policy.waves,
    failuresPercent: policy.failuresPercent,
    maxUnavailablePercent: policy.maxUnavailablePercent,
    sampleMin: policy.sampleMin,
    targets: policy.targets,
    excludedRegions,
    answerMs: withinMsOf(release) + drainMs + ANSWER_GRACE_MS,
    hasFallback: previous !== undefined,
  };
}

/** How long a machine may take to become healthy on a release, milliseconds. */
export function withinMsOf({ activation }: Release): number {
  return activation?.health?.withinMs || HEALTH_WITHIN_MS_DEFAULT;
}
