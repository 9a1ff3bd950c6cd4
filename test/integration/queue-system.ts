// A queue to test: the real store, origin and gRPC server in this process, a client for each service, and
// what was told to the fleet. Rollouts are rows of their own here: what follows a build is not tested.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Metadata } from "@grpc/grpc-js";
import { leadBuilds } from "../../controlplane/builds/lead-builds.ts";
import type { PackFeed } from "../../controlplane/builds/pack-feed.ts";
import type { ShipChain } from "../../controlplane/builds/ship-chain.ts";
import { startBuilds } from "../../controlplane/builds/start-builds.ts";
import { GARBAGE_LIMITS } from "../../controlplane/garbage/collector.ts";
import { startGarbage } from "../../controlplane/garbage/garbage.ts";
import { Archive } from "../../controlplane/history/archive.ts";
import { Past } from "../../controlplane/history/past.ts";
import { BUILD_LIMITS, type BuildLimits } from "../../core/builds/build-limits.ts";
import {
  BuildServiceClient,
  ReleaseServiceClient,
  type SubmitBuildRequest,
  type SubmitBuildResponse,
} from "../../proto/gen/millrace/v1/builds.ts";
import { FleetServiceClient } from "../../proto/gen/millrace/v1/fleet.ts";
import { GarbageServiceClient } from "../../proto/gen/millrace/v1/garbage.ts";
import { HistoryServiceClient } from "../../proto/gen/millrace/v1/history.ts";
import { LeadershipServiceClient } from "../../proto/gen/millrace/v1/leadership.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import { RolloutServiceClient } from "../../proto/gen/millrace/v1/rollouts.ts";
import { type BuildLease, WorkerServiceClient } from "../../proto/gen/millrace/v1/workers.ts";
import type { BlobStore } from "../../runtime/blobs/blob-store.ts";
import { openBlobStore } from "../../runtime/blobs/open-blob-store.ts";
import { call, connect } from "../../runtime/grpc/client.ts";
import { startGrpcServer } from "../../runtime/grpc/server.ts";
import { formatAddress } from "../../runtime/listen-address.ts";
import { createLog } from "../../runtime/log.ts";
import { packageRoot } from "../../runtime/package-root.ts";
import { Health } from "../../runtime/program/health.ts";
import { sealKey } from "../../runtime/release/pack-keys.ts";
import { encodeSeal, makeSeal } from "../../runtime/release/seal.ts";
import { openStore } from "../../runtime/store/open-store.ts";
import { elected } from "./elected.ts";

const log = createLog("test", {});
log.level = process.env["MILLRACE_LOG"] ?? "error";

/** Makes a folder for one test and says how to remove it. */
export function scratch(): { readonly root: string; readonly remove: () => void } {
  const root = mkdtempSync(join(tmpdir(), "millrace-queue-"));
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) };
}

/** Starts a queue on what lies under `root`, or in another store. */
export async function startQueue(
  root: string,
  limits: Partial<BuildLimits> = {},
  storeUrl = `sqlite:${join(root, "store.db")}`,
) {
  const store = await openStore(storeUrl);
  const origin = await openBlobStore(`file:${join(root, "origin")}`);
  const { fence, resign } = await elected(store, log);
  const told: string[] = [];
  const all: BuildLimits = { ...BUILD_LIMITS, ...limits };
  const past = new Past(new Archive(origin));
  const common = { store, origin, past, limits: all, log };
  const builds = await startBuilds({
    ...common,
    ship: shipChain,
    overallLeftMs: (build) => led?.overallLeftMs(build),
    heartbeatMs: 1_000,
  });
  const onFenceLost = () => assert(false, "the fence is lost");
  const led = leadBuilds({
    ...common,
    ...builds,
    fence,
    packs: packFeed(told),
    onFenceLost,
  });
  const garbage = await startGarbage({
    ...common,
    fence,
    limits: { ...GARBAGE_LIMITS, everyMs: 0 },
    releasesInUse: async () => ({ known: true, digests: new Set<string>() }),
    onFenceLost,
  });
  const server = await startGrpcServer({
    address: { host: "127.0.0.1", port: 0 },
    services: builds.services,
    protoRoot: new URL("proto", packageRoot()).pathname,
    health: new Health({}),
    log,
  });
  const clients = connectAll(formatAddress(server.address));
  const stop = async (): Promise<void> => {
    clients.close();
    builds.close();
    await server.close();
    builds.stop();
    await Promise.all([led.stop(), garbage.stop()]);
    await resign();
    await store.close();
    await origin.close();
  };
  const address = formatAddress(server.address);
  return { ...clients, store, origin, fence, log, told, address, stop };
}

export type Queue = Awaited<ReturnType<typeof startQueue>>;

/** The clients of a control plane. */
export function connectAll(address: string) {
  const builds = connect(BuildServiceClient, address);
  const releases = connect(ReleaseServiceClient, address);
  const workers = connect(WorkerServiceClient, address);
  const fleet = connect(FleetServiceClient, address);
  const rollouts = connect(RolloutServiceClient, address);
  const leadership = connect(LeadershipServiceClient, address);
  const history = connect(HistoryServiceClient, address);
  const garbage = connect(GarbageServiceClient, address);
  const clients = { builds, releases, workers, fleet, rollouts, leadership, history, garbage };
  const close = (): void => {
    for (const client of Object.values(clients)) client.close();
  };
  return { ...clients, close };
}

export type Clients = Pick<Queue, "builds" | "releases" | "workers">;

/** Submits a build of a commit that nobody has to look up. */
export function submit(
  { builds }: Clients,
  request: Partial<SubmitBuildRequest> = {},
  metadata?: Metadata,
): Promise<SubmitBuildResponse> {
  const whole: SubmitBuildRequest = {
    repository: "https://git.invalid/hello",
    ref: randomBytes(20).toString("hex"),
    recipe: "",
    service: "",
    rebuild: false,
    ship: undefined,
    requester: "",
    overallTimeoutMs: 0,
    ...request,
  };
  return call(builds, builds.submitBuild, whole, metadata === undefined ? {} : { metadata });
}

/** Leases a build; fails where there is none within `waitMs`. */
export async function leaseOne({ workers }: Clients, worker = "w1", waitMs = 30_000) {
  const request = { worker, waitMs, version: "" };
  const { lease } = await call(workers, workers.lease, request, { deadlineMs: waitMs + 10_000 });
  assert(lease !== undefined, `no build for ${worker}`);
  return lease;
}

/** Says that the attempt goes on. */
export function beat({ workers }: Clients, lease: BuildLease, more: object = {}) {
  return call(workers, workers.heartbeat, {
    worker: "w1",
    build: lease.build,
    attempt: lease.attempt,
    phase: "run",
    service: "",
    segments: 0,
    outputBytes: 0,
    packedBytes: 0,
    targets: {},
    ...more,
  });
}

/** Appends text to the attempt's log. */
export async function logText(
  { workers }: Clients,
  lease: BuildLease,
  offset: number,
  text: string,
): Promise<number> {
  const { build, attempt } = lease;
  const data = Buffer.from(text);
  const request = { worker: "w1", build, attempt, offset, data };
  return (await call(workers, workers.appendLog, request)).length;
}

/** Ends the attempt with a release whose pack is sealed at the origin. */
export async function succeed(queue: Queue, lease: BuildLease, service = "hello") {
  const release = await sealedRelease(queue, lease, service);
  await complete(queue, lease, { $case: "release", release });
  return release;
}

/** Reports an outcome. */
export function complete(
  { workers }: Clients,
  { build, attempt }: BuildLease,
  outcome: Parameters<WorkerServiceClient["complete"]>[0]["outcome"],
) {
  return call(workers, workers.complete, { worker: "w1", build, attempt, outcome });
}

/** Seals the attempt's pack, an empty one, and returns a release that stands on it. */
export async function sealedRelease(
  { origin }: { readonly origin: BlobStore },
  lease: BuildLease,
  service: string,
): Promise<Release> {
  const pack = `${lease.build}.${lease.attempt}`;
  const seal = makeSeal(pack, [], new Uint8Array());
  await origin.put(sealKey(pack), encodeSeal(seal));
  const ref = { pack, pieces: 0, bytes: 0, tableDigest: seal.tableDigest, segments: 0 };
  return {
    release: randomBytes(32).toString("hex"),
    service,
    sha: lease.sha,
    build: lease.build,
    createdAtMs: 0,
    bytes: 7,
    entries: 1,
    chunks: 1,
    packedBytes: 7,
    layout: { version: 1, packs: [ref], manifest: undefined, table: undefined, deltaPacks: [] },
    activation: undefined,
    rollout: undefined,
    singleFile: false,
  };
}

const shipChain: ShipChain = {
  async prepare({ buildId, release }) {
    const rolloutId = `r-${randomBytes(8).toString("hex")}`;
    const value = Buffer.from(`${buildId} ${release.release}`);
    return { rolloutId, compares: [], operations: [{ put: `rollouts/${rolloutId}`, value }] };
  },
};

function packFeed(told: string[]): PackFeed {
  return {
    orderBegun: ({ pack, service }) => told.push(`begun ${pack} "${service}"`),
    packGrew: (pack, segments) => told.push(`grew ${pack} ${segments}`),
    orderEnded: (pack, kept) => told.push(`ended ${pack} ${kept ? "kept" : "dropped"}`),
  };
}

function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}
