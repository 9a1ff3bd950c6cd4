// The program `millrace worker`: leases builds from the control plane, runs and packs them.
// Failpoints: worker.after-lease, worker.mid-run, worker.mid-pack, worker.before-complete,
// worker.after-complete.
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { WorkerServiceClient } from "../proto/gen/millrace/v1/workers.ts";
import { openBlobStore } from "../runtime/blobs/open-blob-store.ts";
import { connect } from "../runtime/grpc/client.ts";
import { crashOnUnhandled, createLog } from "../runtime/log.ts";
import { Health } from "../runtime/program/health.ts";
import { keptId } from "../runtime/program/kept-id.ts";
import { drainTimeout, printReady, stopOnSignal } from "../runtime/program/lifecycle.ts";
import { portNumber, wholeNumber } from "../runtime/program/number-flags.ts";
import { lockRoot } from "../runtime/program/root-lock.ts";
import { startTelemetry } from "../runtime/telemetry.ts";
import { VERSION } from "../runtime/version.ts";
import { WORKER_MARK } from "./build-environment.ts";
import { LeaseLoop } from "./lease-loop.ts";
import { endLeftProcesses } from "./process-group.ts";
import { removeTree } from "./remove-tree.ts";
import { SourceMirrors } from "./source.ts";

/**
 * Chunks of 8 MiB that uploads to a bucket may hold: 128 MiB, so that four segments are on their way while one
 * is filled. A worker has 600 MB and needs 250 besides.
 */
const UPLOAD_CHUNKS_MAX = 16;

/** More than processors of any machine that builds. */
const THREADS_MAX = 256;

/** A build that packs is done by then; one of 15 min loses little by it. */
const DRAIN_MS_DEFAULT = 30_000;

interface Flags {
  readonly controlplane: string;
  readonly origin: string;
  readonly root: string;
  readonly threads: number;
  readonly metricsPort?: number;
  readonly drainTimeout: number;
}

const flags = drainTimeout(new Command("millrace worker"), DRAIN_MS_DEFAULT)
  .description("Builds and packs what the control plane's queue holds.")
  .version(VERSION)
  .requiredOption(
    "--controlplane <host:port,...>",
    "where the control plane, or replicas of it, listen",
  )
  .requiredOption("--origin <url>", "where packs lie: file:PATH or gs://BUCKET/PREFIX")
  .requiredOption("--root <folder>", "folder for mirrors, builds and caches; made where missing")
  .option(
    "--threads <n>",
    "threads that chunk and compress",
    wholeNumber(1, THREADS_MAX),
    availableParallelism(),
  )
  .option("--metrics-port <n>", "serve Prometheus metrics on this loopback port", portNumber)
  .parse()
  .opts<Flags>();

const log = createLog("worker");
crashOnUnhandled(log);
try {
  await run();
} catch (error) {
  process.stderr.write(`millrace worker: ${(error as Error).message}\n`);
  process.exit(1);
}

async function run(): Promise<void> {
  const address = flags.controlplane;
  const root = resolve(flags.root);
  // What a build makes must not depend on who started the worker.
  process.umask(0o022);
  const unlock = lockRoot(root);
  const worker = keptId(root, "worker");
  await cleanRoot(root, worker);
  const health = new Health({ controlplane: () => loop.trouble });
  const telemetry = await startTelemetry({
    program: "worker",
    health,
    attributes: { "service.instance.id": worker },
    ...(flags.metricsPort !== undefined && { metricsPort: flags.metricsPort }),
  });
  const origin = await openBlobStore(flags.origin, { chunksMax: UPLOAD_CHUNKS_MAX });
  const client = connect(WorkerServiceClient, address);
  const mirrors = new SourceMirrors(join(root, "mirrors"));
  await mirrors.mend();
  const { threads } = flags;
  const loop = new LeaseLoop({
    client,
    worker,
    root,
    mirrors,
    origin,
    threads,
    log: log.child({ worker }),
  });
  const running = loop.run();
  await health.begin();
  stopOnSignal(log, flags.drainTimeout, async ({ leftMs }) => {
    health.drain();
    loop.stop(leftMs);
    await running;
    client.close();
    await origin.close();
    await telemetry.stop();
    unlock();
  });
  printReady({ program: "worker", id: worker, metrics: telemetry.metricsPort });
}

/** Makes the folders, and ends and removes what a killed worker left in them. */
async function cleanRoot(root: string, worker: string): Promise<void> {
  for (const folder of ["mirrors", "home", "groups", "bases"]) {
    // Other users of the machine have no business in what is built here.
    mkdirSync(join(root, folder), { recursive: true, mode: 0o700 });
  }
  await endLeftProcesses(join(root, "groups"), `${WORKER_MARK}=${worker}`);
  await removeTree(join(root, "builds"));
  mkdirSync(join(root, "builds"), { mode: 0o700 });
}
