// Builds as the simulated store keeps them, and the transactions that change them: each is made from the row as it was
// read, and made again where somebody else was faster. What changes is decided by core/builds.
import { attemptMsOf, BUILD_LIMITS, OVERALL_MS_DEFAULT } from "../../core/builds/build-limits.ts";
import { type BuildRow, isLive, type QueuedBuild } from "../../core/builds/build-row.ts";
import {
  attach,
  complete,
  lease,
  type Change as RowChange,
} from "../../core/builds/build-transitions.ts";
import type { Release } from "./messages.ts";
import { footing } from "./pack-rows.ts";
import { beginChange, type RolloutRecord, readForBegin, rolloutByKey } from "./rollout-record.ts";
import type { StoreClient } from "./store-client.ts";
import type { Condition, StoreModel, Write } from "./store-model.ts";

export const BUILDS_PREFIX = "builds/";
const buildKey = (id: string): string => `${BUILDS_PREFIX}${id}`;
const byDedupKey = (key: string): string => `builds-by-key/${key}`;
/** Somebody else may be faster so often. */
const TRIES_MAX = 20;

/** A change of one row, and what is written with it. */
export type PlannedChange = RowChange & {
  readonly compares?: readonly Condition[];
  readonly operations?: readonly Write[];
};

/** `lost`: it is not known what became of it. */
export type ChangeOutcome =
  | RowChange
  | { readonly ok: false; readonly refusal: "lost" | "unknown" };

/** Changes a build's row as planned. */
export function changeBuild(
  store: StoreClient,
  id: string,
  plan: (row: BuildRow, model: StoreModel) => PlannedChange,
  done: (outcome: ChangeOutcome) => void,
  fence: { readonly compare: Condition; readonly by: number } | undefined = undefined,
  tries = 1,
): void {
  const lost = (): void => done({ ok: false, refusal: "lost" });
  store.read(
    (model) => {
      const entry = model.get(buildKey(id));
      const row = entry?.value as BuildRow | undefined;
      return { entry, change: row && plan(row, model) };
    },
    (read) => {
      if (read.kind !== "answered") return lost();
      const { entry, change } = read.value;
      if (entry === undefined || change === undefined)
        return done({ ok: false, refusal: "unknown" });
      if (!change.ok || change.row === entry.value) return done(change);
      const { row, compares = [], operations = [] } = change;
      const own = { key: entry.key, modRevision: entry.modRevision };
      const fences = fence === undefined ? [] : [fence.compare];
      store.transact(
        {
          compares: [...fences, own, ...compares],
          operations: [{ put: entry.key, value: row }, ...operations],
          ...(fence && { by: fence.by }),
        },
        (answer) => {
          if (answer.kind !== "answered" || tries === TRIES_MAX) return lost();
          if (answer.value.committed) done({ ok: true, row });
          else changeBuild(store, id, plan, done, fence, tries + 1);
        },
      );
    },
  );
}

/** A request for a build, of which equal ones are one. */
export interface BuildRequest {
  /** What equal requests have in common. */
  readonly key: string;
  readonly requester: string;
  readonly ship: boolean;
}

const WISH = {
  targets: {},
  overrideTargets: false,
  excludedRegions: [],
  supersede: false,
  urgent: false,
};

/** Submits a build, or joins one that is equal; `done` gets its id, or undefined where it is not known. */
export function submitBuild(
  store: StoreClient,
  request: BuildRequest,
  id: string,
  done: (id: string | undefined) => void,
): void {
  const { key, requester, ship } = request;
  const wish = ship ? WISH : undefined;
  store.get(byDedupKey(key), (read) => {
    if (read.kind !== "answered") return done(undefined);
    const known = read.value?.value as string | undefined;
    if (known !== undefined) {
      const plan = (row: BuildRow): PlannedChange => {
        // One that has ended is what was asked for, however it ended.
        if (!isLive(row)) return { ok: true, row };
        const change = attach(row, requester, wish);
        return change.ok ? change : { ok: true, row };
      };
      changeBuild(store, known, plan, (outcome) => done(outcome.ok ? known : undefined));
      return;
    }
    const compares: Condition[] = [{ key: byDedupKey(key), is: "absent" }];
    const operations = [
      { put: buildKey(id), value: newBuild(id, request) },
      { put: byDedupKey(key), value: id },
    ];
    store.transact({ compares, operations }, (answer) =>
      done(answer.kind === "answered" && answer.value.committed ? id : undefined),
    );
  });
}

function newBuild(id: string, { key, requester, ship }: BuildRequest): QueuedBuild {
  return {
    ...{ id, state: "queued", repository: "/repository", sha: "0".repeat(40), recipe: "" },
    ...{ expectedService: "", service: "", dedupKey: key, traceparent: "", createdAtMs: 0 },
    ...{ overallMs: OVERALL_MS_DEFAULT, overallSpentMs: 0, stateSpentMs: 0 },
    ...{ attempt: 0, losses: 0, retryNeedsMs: 0, requesters: [requester] },
    ...(ship && { ship: { wish: WISH, requesters: [requester] } }),
  };
}

/** Leases the oldest build that waits. */
export function leaseBuild(
  store: StoreClient,
  worker: string,
  leftMs: (build: string) => number | undefined,
  done: (row: BuildRow | undefined) => void,
): void {
  store.read(
    (model) =>
      model.range(BUILDS_PREFIX).find(({ value }) => (value as BuildRow).state === "queued"),
    (read) => {
      const row =
        read.kind === "answered" ? (read.value?.value as BuildRow | undefined) : undefined;
      if (row === undefined) return done(undefined);
      const plan = (before: BuildRow): PlannedChange =>
        lease(before, {
          worker,
          nowMs: 0,
          attemptMsMax: attemptMsOf(before.overallMs, BUILD_LIMITS),
          overallLeftMs: leftMs(before.id) ?? before.overallMs - before.overallSpentMs,
        });
      changeBuild(store, row.id, plan, (outcome) => done(outcome.ok ? outcome.row : undefined));
    },
  );
}

/** Ends an attempt with a release, and begins the rollout that is to follow in the same transaction. */
export function succeed(
  row: BuildRow,
  model: StoreModel,
  result: {
    readonly attempt: number;
    readonly release: Release;
    readonly policy: RolloutRecord["policy"];
    readonly wallMs: number;
    /** Names the rollout that follows. */
    readonly rollout: string;
  },
): PlannedChange {
  const { attempt, release, policy, wallMs, rollout: id } = result;
  const outcome = { kind: "release", release: release.release, service: release.service } as const;
  const change = complete(row, attempt, outcome, 0);
  if (!change.ok || row.state !== "leased" || change.row.state !== "succeeded") return change;
  // Nobody else's mark can be on it: an attempt that is current is not collected.
  const base = footing(model, release, wallMs);
  if (base === undefined) return { ok: false, refusal: "not-current" };
  if (change.row.ship === undefined) return { ...change, ...base };
  const { service } = release;
  const start = { id, service, release, policy, supersede: false, excludedRegions: [] };
  const begun = beginChange(start, wallMs, readForBegin(model, service));
  return {
    ok: true,
    row: { ...change.row, rollout: id },
    compares: [...begun.change.compares, ...base.compares],
    operations: [
      ...begun.change.operations,
      ...base.operations,
      { put: rolloutByKey(row.id), value: id },
    ],
  };
}
