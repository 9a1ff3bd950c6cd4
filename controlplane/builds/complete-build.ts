// Ends an attempt with what its worker reports. A release is believed only when its packs lie sealed at
// the origin; then the build's row, the release and the rollout that follows are one transaction.
import type { BuildRow, LeasedBuild } from "../../core/builds/build-row.ts";
import { packOf } from "../../core/builds/build-row.ts";
import {
  complete,
  HANDED_BACK,
  isCurrent,
  type Outcome,
} from "../../core/builds/build-transitions.ts";
import {
  CHUNKS_MAX,
  ENTRIES_MAX,
  PACKS_MAX,
  RELEASE_BYTES_MAX,
} from "../../core/release/limits.ts";
import { isPackId } from "../../core/release/pack-id.ts";
import { WireError } from "../../core/release/wire-error.ts";
import type { PackRef, Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type { CompleteRequest } from "../../proto/gen/millrace/v1/workers.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { failpoint } from "../../runtime/failpoint.ts";
import {
  aborted,
  failedPrecondition,
  invalid,
  notFound,
  RpcError,
} from "../../runtime/grpc/rpc-error.ts";
import type { Log } from "../../runtime/log.ts";
import { SERVICE_NAME } from "../../runtime/recipe/recipe-schema.ts";
import { readSeal } from "../../runtime/release/sealed-pack.ts";
import type { Store } from "../../runtime/store/store.ts";
import { footing, packNames, packsOf } from "../garbage/pack-mark-row.ts";
import type { BuildLogs } from "./build-logs.ts";
import { shipOf } from "./build-message.ts";
import type { BuildTable, PlannedChange } from "./build-table.ts";
import type { LiveBuilds } from "./live-builds.ts";
import { releaseOperations } from "./release-index.ts";
import type { ShipChain } from "./ship-chain.ts";

const REASON_BYTES_MAX = 40;
/** A sentence, or the faults of a recipe; it stands in the row. */
const MESSAGE_CHARACTERS_MAX = 4_000;
const DIGEST = /^[0-9a-f]{64}$/;

export interface CompleteOptions {
  readonly store: Store;
  readonly table: BuildTable;
  readonly live: LiveBuilds;
  readonly logs: BuildLogs;
  readonly origin: BlobStore;
  readonly ship: ShipChain;
  readonly log: Log;
}

/** Ends the attempt; RpcError where it is not current or its release is not what it says. */
export async function completeBuild(
  options: CompleteOptions,
  request: CompleteRequest,
): Promise<BuildRow> {
  const { table, log } = options;
  const outcome = outcomeOf(request);
  const row = await table.get(request.build);
  if (row === undefined) throw notFound(`no build ${request.build}`);
  const release = request.outcome?.$case === "release" ? request.outcome.release : undefined;
  if (isCurrent(row, request.attempt)) {
    if (release !== undefined) await checkRelease(options, row, release);
    const logBytes = await options.logs.length(row.id, row.attempt);
    options.live.note(row.id, row.attempt, { logBytes });
  }
  failpoint("controlplane.before-complete-txn");
  const result = await table.change(request.build, (before) =>
    plan(options, before, request, outcome),
  );
  failpoint("controlplane.after-complete-txn");
  if (!result.ok) {
    throw aborted(`build ${request.build}: attempt ${request.attempt} is not current any more`);
  }
  if (result.row !== result.before) {
    const { id, state, attempt } = result.row;
    log.info({ build: id, attempt, state, outcome: outcome.kind }, "attempt ended");
  }
  return result.row;
}

async function plan(
  options: CompleteOptions,
  before: BuildRow,
  request: CompleteRequest,
  outcome: Outcome,
): Promise<PlannedChange> {
  const nowMs = Date.now();
  const change = complete(options.live.withNews(before), request.attempt, outcome, nowMs);
  if (!change.ok) return change;
  if (before.state !== "leased") return { ok: true, row: before };
  const { row } = change;
  if (row.state !== "succeeded" || request.outcome?.$case !== "release") return change;
  const release = { ...request.outcome.release, build: row.id, createdAtMs: nowMs };
  const { bytes: outputBytes, packedBytes } = release;
  const done = { ...row, progress: { ...row.progress, outputBytes, packedBytes } };
  const standing = await footing(options.store, packNames(release));
  if (!standing.ok) return packAnew(options, before, standing.gone, nowMs);
  const operations = releaseOperations(release);
  const alone = {
    compares: standing.compares,
    operations: [...operations, ...standing.operations],
  };
  if (row.ship === undefined) return { ok: true, row: done, ...alone };
  try {
    const { traceparent, id: buildId } = row;
    const wanted = { buildId, release, ship: shipOf(row.ship.wish), traceparent };
    const rollout = await options.ship.prepare(wanted);
    return {
      ok: true,
      row: { ...done, rollout: rollout.rolloutId },
      // The rollout stands on the same packs.
      compares: rollout.compares,
      operations: [...operations, ...rollout.operations],
    };
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    options.log.warn({ err: error, build: row.id }, "no rollout follows the build");
    const message = `no rollout follows: ${error.message}`;
    return { ok: true, row: { ...done, message }, ...alone };
  }
}

/** An earlier pack that the release stands on is gone: the build is done again, which costs no delivery. */
function packAnew(
  { log }: CompleteOptions,
  before: LeasedBuild,
  pack: string,
  nowMs: number,
): PlannedChange {
  log.warn({ build: before.id, pack }, "a pack that the release stands on was collected; again");
  const outcome = { kind: "failure", reason: HANDED_BACK, message: "" } as const;
  return complete(before, before.attempt, outcome, nowMs);
}

function outcomeOf({ outcome }: CompleteRequest): Outcome {
  switch (outcome?.$case) {
    case "release": {
      const { release, service } = outcome.release;
      return { kind: "release", release, service };
    }
    case "failure": {
      const { reason, message } = outcome.failure;
      if (reason === "" || Buffer.byteLength(reason) > REASON_BYTES_MAX) {
        throw invalid(`failure.reason "${reason}": expected a word`);
      }
      return { kind: "failure", reason, message: message.slice(0, MESSAGE_CHARACTERS_MAX) };
    }
    case "cancelled":
      return { kind: "cancelled" };
    case undefined:
      throw invalid("outcome: give a release, a failure or cancelled");
    default:
      throw outcome satisfies never;
  }
}

/** Throws unless the release is one that this attempt may have made, whole at the origin. */
async function checkRelease(
  { store, origin }: CompleteOptions,
  row: LeasedBuild,
  release: Release,
): Promise<void> {
  checkNames(row, release);
  const packs = packsOf(release);
  const own = packOf(row.id, row.attempt);
  if (packs.length === 0 || packs.length > PACKS_MAX) {
    throw invalid(`layout.packs: ${packs.length}, allowed are 1 to ${PACKS_MAX}`);
  }
  if (!packs.some(({ pack }) => pack === own)) {
    throw invalid(`layout.packs: the attempt's own pack ${own} is missing`);
  }
  try {
    await Promise.all(packs.map((pack) => checkPack(origin, pack)));
  } catch (error) {
    // What was collected meanwhile is not the worker's fault: the plan says what follows.
    if ((await footing(store, packNames(release))).ok) throw error;
  }
}

function checkNames(row: LeasedBuild, release: Release): void {
  const { service, sha } = release;
  if (!DIGEST.test(release.release)) throw invalid("release: expected a digest of 64 hex digits");
  if (!SERVICE_NAME.test(service)) throw invalid(`service "${service}": not a service's name`);
  if (row.expectedService !== "" && row.expectedService !== service) {
    throw invalid(`service "${service}": the build is of service "${row.expectedService}"`);
  }
  if (sha !== row.sha) throw invalid(`sha ${sha}: the build is of ${row.sha}`);
  const limits = [
    ["bytes", release.bytes, RELEASE_BYTES_MAX],
    ["entries", release.entries, ENTRIES_MAX],
    ["chunks", release.chunks, CHUNKS_MAX],
  ] as const;
  for (const [name, value, max] of limits) {
    if (value > max) throw invalid(`${name}: ${value}, the limit is ${max}`);
  }
}

async function checkPack(origin: BlobStore, ref: PackRef): Promise<void> {
  if (!isPackId(ref.pack)) throw invalid(`layout.packs: "${ref.pack}" is no pack's name`);
  try {
    const seal = await readSeal(origin, ref.pack);
    if (seal === undefined) {
      throw failedPrecondition(`pack ${ref.pack} has no seal at the origin`);
    }
    const isSame =
      Buffer.compare(seal.tableDigest, ref.tableDigest) === 0 &&
      seal.pieces === ref.pieces &&
      seal.bytes === ref.bytes &&
      seal.segments.length === ref.segments;
    if (!isSame) throw failedPrecondition(`pack ${ref.pack} is not what its seal says`);
  } catch (error) {
    if (error instanceof WireError) throw failedPrecondition(error.message);
    throw error;
  }
}
