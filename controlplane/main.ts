// The program `millrace controlplane`: the queue of builds, the fleet's hub, the rollout engine and the API.
// Failpoints of this program: controlplane.before-submit-txn, .after-submit-txn, .before-cancel-txn,
// .after-lease-txn, .before-complete-txn, .after-complete-txn, .before-sweep-txn, .after-sweep-txn.
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { BUILD_LIMITS } from "../core/builds/build-limits.ts";
import { FleetServiceService, RelayServiceService } from "../proto/gen/millrace/v1/fleet.ts";
import { RolloutServiceService } from "../proto/gen/millrace/v1/rollouts.ts";
import { openBlobStore } from "../runtime/blobs/open-blob-store.ts";
import { monotonicNow } from "../runtime/driver.ts";
import { startGrpcServer } from "../runtime/grpc/server.ts";
import { formatAddress, listenAddress } from "../runtime/listen-address.ts";
import { crashOnUnhandled, createLog } from "../runtime/log.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { printReady, stopOnSignal } from "../runtime/program/lifecycle.ts";
import { openStore } from "../runtime/store/open-store.ts";
import { startTelemetry } from "../runtime/telemetry.ts";
import { startBuilds } from "./builds/start-builds.ts";
import { raiseEpoch } from "./fence.ts";
import { createFleet } from "./fleet/fleet.ts";
import { createRollouts } from "./rollouts/rollouts.ts";

interface Flags {
  readonly listen: string;
  readonly store: string;
  readonly storeCa?: string;
  readonly storeCert?: string;
  readonly storeKey?: string;
  readonly storeUser?: string;
  readonly storePasswordFile?: string;
  readonly origin: string;
  readonly buildDetect: number;
  readonly metricsPort?: number;
  readonly insecure: boolean;
}

const flags = new Command("millrace controlplane")
  .description("Queues builds, runs rollouts, and serves the API.")
  .option("--listen <host:port>", "where the API listens", "127.0.0.1:7070")
  .requiredOption(
    "--store <url>",
    "where state is kept, as in sqlite:/srv/millrace.db or etcd://host:2379,host:2379",
  )
  .option("--store-ca <file>", "connect to etcd by TLS, and trust these certificates")
  .option("--store-cert <file>", "certificate to show to etcd")
  .option("--store-key <file>", "key of that certificate")
  .option("--store-user <name>", "user of etcd")
  .option("--store-password-file <file>", "file with the user's password")
  .requiredOption("--origin <url>", "where packs lie: file:PATH or gs://BUCKET/PREFIX")
  .option(
    "--build-detect <ms>",
    "silence after which a worker counts as lost",
    Number,
    BUILD_LIMITS.detectMs,
  )
  .option("--metrics-port <n>", "serve Prometheus metrics on this loopback port", Number)
  .option("--insecure", "listen on other than loopback addresses, unauthenticated", false)
  .parse()
  .opts<Flags>();

/** How often workers are told to heartbeat at least, so that progress is shown. */
const HEARTBEAT_MS_MAX = 1_000;

/** Within the silence that loses a lease: a machine may be too busy for a few of them. */
const HEARTBEATS_IN_SILENCE = 15;

const log = createLog("controlplane");
crashOnUnhandled(log);
const address = listenAddress(flags.listen, flags.insecure);
const telemetry = await startTelemetry({
  program: "controlplane",
  ...(flags.metricsPort !== undefined && { metricsPort: flags.metricsPort }),
});

if (flags.store.startsWith("sqlite:")) {
  mkdirSync(dirname(flags.store.slice("sqlite:".length)), { recursive: true });
}
const store = await openStore(flags.store, {
  ca: flags.storeCa,
  cert: flags.storeCert,
  key: flags.storeKey,
  user: flags.storeUser,
  passwordFile: flags.storePasswordFile,
});
const origin = await openBlobStore(flags.origin);
const fence = await raiseEpoch(store);
log.info({ epoch: fence.epoch }, "leading");

const fleet = await createFleet({
  store,
  fence,
  log,
  now: monotonicNow,
  onDeposed: (epoch) => end(`another control plane leads with epoch ${epoch}`),
});
const rollouts = await createRollouts({
  store,
  fence,
  fleet,
  log,
  now: monotonicNow,
  onBroken: (error) => end("rollouts cannot go on", error),
});
const builds = await startBuilds({
  store,
  origin,
  fence,
  ship: rollouts.shipChain,
  packs: fleet.packFeed,
  limits: { ...BUILD_LIMITS, detectMs: flags.buildDetect },
  heartbeatMs: Math.min(HEARTBEAT_MS_MAX, Math.ceil(flags.buildDetect / HEARTBEATS_IN_SILENCE)),
  log,
  onFenceLost: () => end("another control plane has taken over"),
});
const overview = { builds: () => builds.overview(), rollouts: () => rollouts.glance() };
const server = await startGrpcServer({
  address,
  services: [
    ...builds.services,
    { definition: RolloutServiceService, implementation: rollouts.service },
    { definition: FleetServiceService, implementation: fleet.fleetService(overview) },
    { definition: RelayServiceService, implementation: fleet.relayService },
  ],
  protoRoot: fileURLToPath(new URL("proto", packageRoot())),
  log,
});
fleet.ready();

stopOnSignal(log, async () => {
  builds.close();
  rollouts.stop();
  fleet.close();
  await server.close();
  await builds.stop();
  await store.close();
  await origin.close();
  await telemetry.stop();
});
printReady({
  program: "controlplane",
  address: formatAddress(server.address),
  metrics: telemetry.metricsPort,
});

/** Ends at once where going on could decide something twice; whoever supervises starts it anew. */
function end(why: string, error?: unknown): never {
  log.fatal({ err: error }, why);
  process.exit(75);
}
