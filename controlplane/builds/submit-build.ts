// Takes a request for a build: checks it, finds the commit it means, and attaches it to an equal build
// that is live or has succeeded, or queues a new one. What a succeeded build is asked to ship starts at
// once, in the same transaction.
import { randomBytes, randomInt } from "node:crypto";
import {
  OVERALL_MS_DEFAULT,
  OVERALL_MS_MAX,
  REQUESTERS_MAX,
} from "../../core/builds/build-limits.ts";
import type { BuildRow, QueuedBuild, SucceededBuild } from "../../core/builds/build-row.ts";
import { attach } from "../../core/builds/build-transitions.ts";
import { timedDigits } from "../../core/history/timed-id.ts";
import type { SubmitBuildRequest } from "../../proto/gen/millrace/v1/builds.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import { failedPrecondition, invalid, unavailable } from "../../runtime/grpc/rpc-error.ts";
import { parseRecipe } from "../../runtime/recipe/parse-recipe.ts";
import { RecipeError } from "../../runtime/recipe/parse-yaml.ts";
import { SERVICE_NAME } from "../../runtime/recipe/recipe-schema.ts";
import type { Store } from "../../runtime/store/store.ts";
import { footing, packNames } from "../garbage/pack-mark-row.ts";
import { dedupKeyOf } from "./build-keys.ts";
import { shipOf, wishOf } from "./build-message.ts";
import type { PlannedChange } from "./build-table.ts";
import { checkRepository, resolveCommit } from "./git-refs.ts";
import { isKept, type ReleaseName, releaseOfBuild } from "./release-index.ts";
import type { SeenBuildOptions } from "./seen-build.ts";
import type { ShipChain } from "./ship-chain.ts";

/** A recipe stands in the build's row, which is written with each heartbeat. */
const RECIPE_BYTES_MAX = 64 * 1024;
const LABELS_MAX = 64;
const REQUESTER_BYTES_MAX = 100;
/** Times a request is tried anew because an equal one came in between. */
const RACES_MAX = 20;

export interface SubmitOptions extends SeenBuildOptions {
  readonly store: Store;
  readonly ship: ShipChain;
}

export interface Submitted {
  readonly row: BuildRow;
  readonly attached: boolean;
  readonly requester: string;
}

/** Submits a build; RpcError names what is wrong with the request. */
export async function submitBuild(
  options: SubmitOptions,
  request: SubmitBuildRequest,
  traceparent: string,
): Promise<Submitted> {
  const requester = checkRequest(request);
  const repository = checkRepository(request.repository);
  const service = serviceOf(request);
  const sha = await resolveCommit(repository, request.ref);
  const { recipe } = request;
  const facts = { repository, sha, recipe, service, traceparent, requester };
  const dedupKey = dedupKeyOf({ repository, sha, recipe, service });
  for (let race = 0; race < RACES_MAX; race += 1) {
    const shared = await options.table.sharedBy(dedupKey);
    if (shared !== undefined) {
      const row =
        (await attachTo(options, shared.id, request, requester)) ??
        (await attachToPast(options, shared.id, request, requester));
      if (row === "again") continue;
      if (row !== undefined) return { row, attached: true, requester };
    }
    const row = newBuild(request, facts, dedupKey);
    failpoint("controlplane.before-submit-txn");
    if (await options.table.create(row, shared?.entry)) {
      failpoint("controlplane.after-submit-txn");
      return { row, attached: false, requester };
    }
  }
  throw unavailable("too many equal requests at this moment; try again");
}

/** The build with the request attached; undefined: a new one is needed. */
async function attachTo(
  options: SubmitOptions,
  id: string,
  request: SubmitBuildRequest,
  requester: string,
): Promise<BuildRow | undefined> {
  const wish = request.ship && wishOf(request.ship);
  const result = await options.table.change(id, async (row) => {
    // Who asks to build again and repeats the request means the build that it began.
    if (request.rebuild && !row.requesters.includes(requester)) return refusedAnew;
    const change = attach(row, requester, wish);
    if (!change.ok || change.row.state !== "succeeded") return change;
    // Who repeats a request is answered as before; all others need its release.
    if (change.row === row && row.requesters.includes(requester)) return change;
    const release = await usableRelease(options.store, change.row);
    if (release === undefined) return refusedAnew;
    return change.row === row ? change : await shipNow(options, change.row, release);
  });
  if (result.ok) return result.row;
  switch (result.refusal) {
    case "too-many-requesters":
      throw failedPrecondition(`build ${id} has ${REQUESTERS_MAX} requesters, the limit`);
    case "other-ship":
      throw failedPrecondition(
        `build ${id} is already to be shipped in another way; wait for it, or cancel that request`,
      );
    default:
      return undefined;
  }
}

/** The same for a build that was archived; undefined also where its release is not kept; "again": it came back. */
async function attachToPast(
  options: SubmitOptions,
  id: string,
  request: SubmitBuildRequest,
  requester: string,
): Promise<BuildRow | "again" | undefined> {
  const { store, table, past } = options;
  const row = (await table.get(id)) === undefined ? await past.build(id) : undefined;
  if (row?.state !== "succeeded") return undefined;
  const change = attach(row, requester, request.ship && wishOf(request.ship));
  // Who repeats a request is answered as before; all others need its release.
  const isKnown = [...row.requesters, ...(row.ship?.requesters ?? [])].includes(requester);
  if (isKnown && change.ok && change.row === row) return row;
  const release = request.rebuild ? undefined : await usableRelease(store, row);
  if (release === undefined) return undefined;
  if (!change.ok || change.row === row || change.row.state !== "succeeded") return row;
  const shipped = await shipNow(options, change.row, release);
  // Back in the store: what is rolled out of it now is not past.
  if (!shipped.ok) return undefined;
  return (await table.restore(shipped)) ? shipped.row : "again";
}

const refusedAnew: PlannedChange = { ok: false, refusal: "not-attachable" };

/** The release that a build made; undefined where it is gone, or its packs are: then it is made again. */
async function usableRelease(store: Store, row: SucceededBuild): Promise<Release | undefined> {
  const release = await releaseOfBuild(store, releaseNameOf(row));
  if (release === undefined) return undefined;
  return (await footing(store, packNames(release))).ok ? release : undefined;
}

/** The rollout of a build that has succeeded before it was asked for. */
async function shipNow(
  { ship }: SubmitOptions,
  row: SucceededBuild,
  release: Release,
): Promise<PlannedChange> {
  const { id, traceparent } = row;
  if (row.ship === undefined) return refusedAnew;
  const wanted = { buildId: id, release, ship: shipOf(row.ship.wish), traceparent };
  const { rolloutId, compares, operations } = await ship.prepare(wanted);
  const kept = [...compares, isKept(release)];
  return { ok: true, row: { ...row, rollout: rolloutId, message: "" }, compares: kept, operations };
}

function releaseNameOf({ id, service, sha, endedAtMs }: SucceededBuild): ReleaseName {
  return { service, sha, createdAtMs: endedAtMs, build: id };
}

function newBuild(
  request: SubmitBuildRequest,
  facts: {
    readonly repository: string;
    readonly sha: string;
    readonly recipe: string;
    readonly service: string;
    readonly traceparent: string;
    readonly requester: string;
  },
  dedupKey: string,
): QueuedBuild {
  const { repository, sha, recipe, service, traceparent, requester } = facts;
  const createdAtMs = Date.now();
  return {
    id: `b-${timedDigits(createdAtMs, randomInt(2 ** 32))}`,
    state: "queued",
    repository,
    sha,
    recipe,
    expectedService: service,
    service,
    dedupKey,
    traceparent,
    createdAtMs,
    overallMs: request.overallTimeoutMs === 0 ? OVERALL_MS_DEFAULT : request.overallTimeoutMs,
    overallSpentMs: 0,
    stateSpentMs: 0,
    attempt: 0,
    losses: 0,
    retryNeedsMs: 0,
    requesters: [requester],
    ship: request.ship && { wish: wishOf(request.ship), requesters: [requester] },
  };
}

/** Checks what needs no git; returns the requester, a new one where none is given. */
function checkRequest(request: SubmitBuildRequest): string {
  const { recipe, requester, overallTimeoutMs, ship } = request;
  if (Buffer.byteLength(recipe) > RECIPE_BYTES_MAX) {
    throw invalid(`recipe: ${Buffer.byteLength(recipe)} bytes, the limit is ${RECIPE_BYTES_MAX}`);
  }
  if (overallTimeoutMs > OVERALL_MS_MAX) {
    throw invalid(
      `overall_timeout_ms: ${overallTimeoutMs}, the limit is ${OVERALL_MS_MAX} (a day)`,
    );
  }
  if (Buffer.byteLength(requester) > REQUESTER_BYTES_MAX) {
    throw invalid(`requester: longer than ${REQUESTER_BYTES_MAX} bytes`);
  }
  const labels = Object.keys(ship?.targets ?? {}).length + (ship?.excludedRegions.length ?? 0);
  if (labels > LABELS_MAX) {
    throw invalid(`ship: ${labels} targets and excluded regions, the limit is ${LABELS_MAX}`);
  }
  return requester === "" ? `q-${randomBytes(6).toString("hex")}` : requester;
}

/** Service as far as it is known now: from the recipe given, or as asked for. */
function serviceOf({ recipe, service }: SubmitBuildRequest): string {
  if (service !== "" && !SERVICE_NAME.test(service)) {
    throw invalid(`service "${service}": expected 1-63 lower-case letters, digits and dashes`);
  }
  if (recipe === "") return service;
  try {
    const parsed = parseRecipe(recipe);
    if (service === "" || service === parsed.service) return parsed.service;
    throw invalid(`service "${service}": the recipe is for service "${parsed.service}"`);
  } catch (error) {
    if (error instanceof RecipeError) throw invalid(error.message);
    throw error;
  }
}
