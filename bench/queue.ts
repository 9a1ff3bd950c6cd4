// How fast the queue hands builds out: 100 workers that ask over gRPC at once, until 2,000 queued builds are
// leased, from one control plane as a process, on SQLite and on a real etcd of one member. Then a worker
// that says nothing more: how long until its build is in the queue again.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BuildState } from "../proto/gen/millrace/v1/builds.ts";
import { call } from "../runtime/grpc/client.ts";
import { type ControlPlane, startControlPlane } from "../test/integration/controlplane-process.ts";
import { leaseOne, submit } from "../test/integration/queue-system.ts";
import { startEtcd } from "../test/lab/etcd.ts";
import { until } from "../test/lab/until.ts";
import { printFigures } from "./lab/figures.ts";

const BUILDS = 2_000;
const WORKERS = 100;
/** Submits under way at once. */
const SUBMITTERS = 50;

const etcd = await startEtcd();
try {
  const sqlite = await measured(undefined);
  const onEtcd = await measured(`etcd://${etcd.hosts}`);
  printFigures("queue", {
    etcd_leases_per_s: onEtcd.leasesPerS,
    sqlite_leases_per_s: sqlite.leasesPerS,
    requeue_s: Math.max(sqlite.requeueS, onEtcd.requeueS),
  });
} finally {
  await etcd.dispose();
}

/** The figures on one store; SQLite in a folder of its own unless another is given. */
async function measured(store: string | undefined) {
  const root = mkdtempSync(join(tmpdir(), "millrace-bench-queue-"));
  const plane = await startControlPlane(root, store === undefined ? {} : { store });
  try {
    const leasesPerS = await leases(plane);
    return { leasesPerS, requeueS: await requeue(plane) };
  } finally {
    await plane.end("SIGTERM");
    rmSync(root, { recursive: true, force: true });
  }
}

async function leases(plane: ControlPlane): Promise<number> {
  let submitted = 0;
  await Promise.all(
    Array.from({ length: SUBMITTERS }, async () => {
      while (submitted < BUILDS) {
        submitted += 1;
        await submit(plane);
      }
    }),
  );
  const leased = new Set<string>();
  const { workers } = plane;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: WORKERS }, async (_, index) => {
      while (leased.size < BUILDS) {
        const request = { worker: `w${index}`, waitMs: 1, version: "" };
        const { lease } = await call(workers, workers.lease, request, { deadlineMs: 60_000 });
        if (lease === undefined) continue;
        if (leased.has(lease.build)) throw new Error(`build ${lease.build} was leased twice`);
        leased.add(lease.build);
      }
    }),
  );
  return BUILDS / ((performance.now() - startedAt) / 1_000);
}

/** Seconds from a worker's last word until its build is queued again. */
async function requeue(plane: ControlPlane): Promise<number> {
  const { builds } = plane;
  const { build } = await submit(plane, { ref: randomBytes(20).toString("hex") });
  const id = build?.id ?? "";
  await leaseOne(plane);
  const silentSince = performance.now();
  await until("the build to be queued again", async () => {
    const { build: seen } = await call(builds, builds.getBuild, { id });
    return seen?.state === BuildState.BUILD_STATE_QUEUED;
  });
  return (performance.now() - silentSince) / 1_000;
}
