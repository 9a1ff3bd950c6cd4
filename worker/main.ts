// The program `millrace worker`: leases builds from the control plane, runs and packs them.
import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { WorkerServiceClient } from "../proto/gen/millrace/v1/workers.ts";
import { openBlobStore } from "../runtime/blobs/open-blob-store.ts";
import { connect } from "../runtime/grpc/client.ts";
import { crashOnUnhandled, createLog } from "../runtime/log.ts";
import { keptId } from "../runtime/program/kept-id.ts";
import { printReady, stopOnSignal } from "../runtime/program/lifecycle.ts";
import { lockRoot } from "../runtime/program/root-lock.ts";
import { startTelemetry } from "../runtime/telemetry.ts";
import { LeaseLoop } from "./lease-loop.ts";
import { endLeftGroups } from "./process-group.ts";

interface Flags {
  readonly controlplane: string;
  readonly origin: string;
  readonly root: string;
  readonly threads: number;
  readonly metricsPort?: number;
}

const flags = new Command("millrace worker")
  .description("Builds and packs what the control plane's queue holds.")
  .requiredOption("--controlplane <host:port>", "where the control plane listens")
  .requiredOption("--origin <url>", "blob store that packs are written to, as in file:/srv/origin")
  .requiredOption("--root <folder>", "folder for mirrors, builds and caches; made where missing")
  .option("--threads <n>", "threads that chunk, hash and compress", Number, availableParallelism())
  .option("--metrics-port <n>", "serve Prometheus metrics on this loopback port", Number)
  .parse()
  .opts<Flags>();

const root = resolve(flags.root);
const unlock = lockRoot(root);
const worker = keptId(root, "worker");
const log = createLog("worker", { worker });
crashOnUnhandled(log);
const telemetry = await startTelemetry({
  program: "worker",
  attributes: { "service.instance.id": worker },
  ...(flags.metricsPort !== undefined && { metricsPort: flags.metricsPort }),
});

for (const folder of ["mirrors", "builds", "home", "groups", "bases"]) {
  mkdirSync(join(root, folder), { recursive: true });
}
await endLeftGroups(join(root, "groups"));
await rm(join(root, "builds"), { recursive: true, force: true });

const origin = await openBlobStore(flags.origin);
const client = connect(WorkerServiceClient, flags.controlplane);
const loop = new LeaseLoop({ client, worker, root, origin, threads: flags.threads, log });
const running = loop.run();
stopOnSignal(log, async () => {
  loop.stop();
  await running;
  client.close();
  await origin.close();
  await telemetry.stop();
  unlock();
});
printReady({ program: "worker", id: worker, metrics: telemetry.metricsPort });
