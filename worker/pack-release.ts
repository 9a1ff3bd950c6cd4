// Packs the output of a build on top of the service's earlier releases, and tells the control plane of
// each segment as it is stored, so that relays fetch while the rest is packed.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { PieceTable } from "../core/release/piece-table.ts";
import { WireError } from "../core/release/wire-error.ts";
import type { Release } from "../proto/gen/millrace/v1/release_format.ts";
import type { BuildLease, WorkerServiceClient } from "../proto/gen/millrace/v1/workers.ts";
import { BlobNotFoundError, type BlobStore } from "../runtime/blobs/blob-store.ts";
import { failpoint } from "../runtime/failpoint.ts";
import { call } from "../runtime/grpc/client.ts";
import type { Log } from "../runtime/log.ts";
import type { Recipe } from "../runtime/recipe/parse-recipe.ts";
import type { LeaseKeeper } from "./lease-keeper.ts";
import { type BaseRelease, loadBase } from "./pack/base-release.ts";
import { packOutput } from "./pack/pack-output.ts";
import { TRY_MS_MAX, untilAnswered } from "./patient-call.ts";
import { pruneCache, touch } from "./prune-cache.ts";

/** Earlier releases kept here: 3 of each of 6 services; one has at most 300 MB, mostly 1. */
const BASES_MAX = 20;

export interface PackReleaseOptions {
  readonly lease: BuildLease;
  readonly worker: string;
  readonly client: WorkerServiceClient;
  readonly keeper: LeaseKeeper;
  readonly programLog: Log;
  readonly origin: BlobStore;
  readonly recipe: Recipe;
  /** Real path of what is packed. */
  readonly output: string;
  /** Folder of this attempt. */
  readonly folder: string;
  /** Folder for earlier releases' manifests, kept between builds. */
  readonly cache: string;
  readonly threads: number;
}

/** Packs and seals; the release's record, complete but for the time of its commit. */
export async function packRelease(options: PackReleaseOptions): Promise<Release> {
  const { lease, keeper, recipe } = options;
  const scratch = join(options.folder, "pack");
  await mkdir(scratch, { recursive: true });
  let packedBytes = 0;
  const { release } = await packOutput({
    output: options.output,
    pack: `${lease.build}.${lease.attempt}`,
    origin: options.origin,
    base: await loadBases(options),
    scratch,
    threads: options.threads,
    onSegment: (rows, index) => {
      packedBytes += encodedBytes(rows);
      keeper.report({ segments: index + 1, packedBytes });
      failpoint("worker.mid-pack");
    },
    signal: keeper.signal,
  });
  keeper.report({ outputBytes: release.bytes });
  return {
    ...release,
    service: recipe.service,
    sha: lease.sha,
    build: lease.build,
    createdAtMs: 0,
    activation: recipe.activation,
    rollout: recipe.rollout,
  };
}

/** The service's newest releases; one that is not whole at the origin any more is no base. */
async function loadBases(options: PackReleaseOptions): Promise<BaseRelease[]> {
  const { origin, cache, programLog } = options;
  const loaded: BaseRelease[] = [];
  for (const release of await askForBases(options)) {
    try {
      loaded.push(await loadBase(origin, release, cache));
      touch(join(cache, release.release));
    } catch (error) {
      const isGone = error instanceof BlobNotFoundError || error instanceof WireError;
      if (!isGone) throw error;
      programLog.warn({ release: release.release, err: error }, "an earlier release is gone");
    }
  }
  await pruneCache(cache, BASES_MAX);
  return loaded;
}

/** None where the control plane refuses: more is packed then, and nothing is wrong. */
async function askForBases(options: PackReleaseOptions): Promise<Release[]> {
  const { lease, worker, client, recipe, keeper, programLog } = options;
  const { build, attempt } = lease;
  const request = { worker, build, attempt, service: recipe.service };
  const { signal } = keeper;
  const answer = await untilAnswered(
    () =>
      call(client, client.getBase, request, {
        deadlineMs: TRY_MS_MAX,
        signal,
        waitForReady: true,
      }),
    signal,
  );
  signal.throwIfAborted();
  if (answer.kind === "answered") return answer.response.base;
  programLog.warn({ build, answer }, "asked in vain for earlier releases");
  return [];
}

function encodedBytes(rows: Uint8Array): number {
  const table = new PieceTable(rows, "segment");
  let bytes = 0;
  for (let piece = 0; piece < table.count; piece++) bytes += table.encodedBytes(piece);
  return bytes;
}
