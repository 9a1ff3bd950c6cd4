// The program `millrace controlplane`: one replica of the API and the queue of builds, and while it leads, the
// fleet's hub and the rollout engine.
// Failpoints of this program: controlplane.before-submit-txn, .after-submit-txn, .before-cancel-txn,
// .after-lease-txn, .before-complete-txn, .after-complete-txn, .before-sweep-txn, .after-sweep-txn, .before-archive,
// .after-archive, .after-archive-txn, .before-gc-txn, .after-gc-txn, .mid-gc-delete.
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { BUILD_LIMITS } from "../core/builds/build-limits.ts";
import { HOT_DAYS_DEFAULT } from "../core/history/archive-plan.ts";
import { DAY_MS } from "../core/history/calendar.ts";
import { LEADER_KEY } from "../core/leadership/election.ts";
import { ROLLOUT_WRITES_PER_S } from "../core/rollout/write-pace.ts";
import { DiagnosisServiceService } from "../proto/gen/millrace/v1/diagnosis.ts";
import { FleetServiceService, RelayServiceService } from "../proto/gen/millrace/v1/fleet.ts";
import { GarbageServiceService } from "../proto/gen/millrace/v1/garbage.ts";
import { HistoryServiceService } from "../proto/gen/millrace/v1/history.ts";
import { LeadershipServiceService } from "../proto/gen/millrace/v1/leadership.ts";
import { RolloutServiceService } from "../proto/gen/millrace/v1/rollouts.ts";
import { openBlobStore } from "../runtime/blobs/open-blob-store.ts";
import { openCalls } from "../runtime/grpc/open-calls.ts";
import { startGrpcServer } from "../runtime/grpc/server.ts";
import { formatAddress, listenAddress } from "../runtime/listen-address.ts";
import { crashOnUnhandled, createLog } from "../runtime/log.ts";
import { packageRoot } from "../runtime/package-root.ts";
import { Health } from "../runtime/program/health.ts";
import { drainTimeout, printReady, stopOnSignal } from "../runtime/program/lifecycle.ts";
import { numberBetween, portNumber, wholeNumber } from "../runtime/program/number-flags.ts";
import { openStore } from "../runtime/store/open-store.ts";
import { gauge, startTelemetry } from "../runtime/telemetry.ts";
import { startBuilds } from "./builds/start-builds.ts";
import { measureFleet } from "./fleet/fleet-metrics.ts";
import { GARBAGE_LIMITS } from "./garbage/collector.ts";
import { Archive } from "./history/archive.ts";
import { HistoryReader } from "./history/history-reader.ts";
import { historyService } from "./history/history-service.ts";
import { Past } from "./history/past.ts";
import { startBackups } from "./history/store-backup.ts";
import { Candidate } from "./leadership/candidate.ts";
import { measureLeadership } from "./leadership/leadership-metrics.ts";
import { leadershipService } from "./leadership/leadership-service.ts";
import { relayDoor } from "./leadership/relay-door.ts";
import { holdToSchema, SchemaError } from "./leadership/schema-row.ts";
import { StoreGate } from "./leadership/store-gate.ts";
import { startTerm } from "./leadership/term.ts";
import { Terms } from "./leadership/terms.ts";
import { ToLeader } from "./leadership/to-leader.ts";
import { measureRollouts } from "./rollouts/rollout-metrics.ts";
import { ShipRollout } from "./rollouts/ship-rollout.ts";
import { countedStore } from "./store-writes.ts";

interface Flags {
  readonly listen: string;
  readonly advertise?: string;
  readonly store: string;
  readonly storeCa?: string;
  readonly storeCert?: string;
  readonly storeKey?: string;
  readonly storeUser?: string;
  readonly storePasswordFile?: string;
  readonly origin: string;
  readonly buildDetect: number;
  readonly historyHot: number;
  readonly storeHistory: number;
  readonly storeBackup?: string;
  readonly storeBackupEvery: number;
  readonly rolloutWrites: number;
  readonly keepReleases: number;
  readonly gcEvery: number;
  readonly gcWait: number;
  readonly metricsPort?: number;
  readonly drainTimeout: number;
  readonly insecure: boolean;
}

/** A year: what equal requests are answered with is kept for 90 days at least, and with its row. */
const HOT_DAYS_MAX = 366;
/** A day: 50 writes a second of 1 KiB are 4 GB by then. */
const STORE_HISTORY_MINUTES_MAX = 24 * 60;
/** What is decided since the last copy is lost with the store. */
const STORE_BACKUP_MINUTES_DEFAULT = 60;
/** A second. */
const STORE_BACKUP_MINUTES_MIN = 1 / 60;
/** What a store makes at best. */
const ROLLOUT_WRITES_MAX = 10_000;
const MINUTE_MS = 60_000;

/** Calls take 10 s at most, by their callers' deadlines. */
const DRAIN_MS_DEFAULT = 10_000;

/** Releases of a service that may be kept beside those in use. */
const KEEP_RELEASES_MAX = 10_000;
/** A week: longer waits are no timer's. */
const GC_MS_MAX = 7 * DAY_MS;

const flags = drainTimeout(new Command("millrace controlplane"), DRAIN_MS_DEFAULT)
  .description("Queues builds, runs rollouts, and serves the API.")
  .option("--listen <host:port>", "where the API listens", "127.0.0.1:7070")
  .option("--advertise <host:port>", "where others find it; where it listens, unless given")
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
    wholeNumber(1),
    BUILD_LIMITS.detectMs,
  )
  .option(
    "--history-hot <days>",
    "ended builds and rollouts stay in the store so long, then go to the archive at the origin",
    numberBetween(0, HOT_DAYS_MAX),
    HOT_DAYS_DEFAULT,
  )
  .option(
    "--store-history <minutes>",
    "what rows were before is left so long for who follows changes, then compacted away; 0: never",
    numberBetween(0, STORE_HISTORY_MINUTES_MAX),
    5,
  )
  .option(
    "--store-backup <file>",
    "keep a copy of a SQLite store here, made anew from time to time",
  )
  .option(
    "--store-backup-every <minutes>",
    "how often that is made",
    numberBetween(STORE_BACKUP_MINUTES_MIN, STORE_HISTORY_MINUTES_MAX),
    STORE_BACKUP_MINUTES_DEFAULT,
  )
  .option(
    "--rollout-writes <n>",
    "writes to the store a second that all rollouts make together at most",
    numberBetween(1, ROLLOUT_WRITES_MAX),
    ROLLOUT_WRITES_PER_S,
  )
  .option(
    "--keep-releases <n>",
    "releases kept of each service, beside those in use",
    wholeNumber(1, KEEP_RELEASES_MAX),
    GARBAGE_LIMITS.keepReleases,
  )
  .option(
    "--gc-every <ms>",
    "how often packs nobody needs are looked for; 0: only by `millrace gc`",
    numberBetween(0, GC_MS_MAX),
    GARBAGE_LIMITS.everyMs,
  )
  .option(
    "--gc-wait <ms>",
    "how long such a pack stays before it is deleted; longer than builds take",
    numberBetween(0, GC_MS_MAX),
    GARBAGE_LIMITS.waitMs,
  )
  .option("--metrics-port <n>", "serve Prometheus metrics on this loopback port", portNumber)
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
const health = new Health({
  store: async () => void (await store.get(LEADER_KEY)),
});
const telemetry = await startTelemetry({
  program: "controlplane",
  health,
  ...(flags.metricsPort !== undefined && { metricsPort: flags.metricsPort }),
});

const folder = flags.store.startsWith("sqlite:")
  ? dirname(flags.store.slice("sqlite:".length))
  : undefined;
if (folder !== undefined) mkdirSync(folder, { recursive: true });
const store = countedStore(
  await openStore(flags.store, {
    ca: flags.storeCa,
    cert: flags.storeCert,
    key: flags.storeKey,
    user: flags.storeUser,
    passwordFile: flags.storePasswordFile,
  }),
);
// Before a row is read that this program may not understand.
await holdToSchema(store, (error) => end(error.message)).catch(refuse);
const backups = startBackups({
  store,
  path: flags.storeBackup,
  everyMs: flags.storeBackupEvery * MINUTE_MS,
  log,
});
const origin = await openBlobStore(flags.origin);
const replica = `c-${randomBytes(8).toString("hex")}`;
const closing = new AbortController();
const limits = { ...BUILD_LIMITS, detectMs: flags.buildDetect };
const { keepReleases, gcEvery: everyMs, gcWait: waitMs } = flags;
const garbage = { keepReleases, everyMs, waitMs };

const archive = new Archive(origin);

const builds = await startBuilds({
  store,
  origin,
  past: new Past(archive),
  ship: new ShipRollout(store),
  limits,
  overallLeftMs: (build) => terms.led?.overallLeftMs(build),
  heartbeatMs: Math.min(HEARTBEAT_MS_MAX, Math.ceil(flags.buildDetect / HEARTBEATS_IN_SILENCE)),
  log,
});
// Terms begin and end as the candidate says; what a term finds refused, the candidate hears.
const serving = Promise.withResolvers<void>();
const terms = new Terms({
  log,
  start: (fence) =>
    startTerm({
      ...{ store, origin, archive, fence, builds, limits, garbage, log },
      hotMs: flags.historyHot * DAY_MS,
      compactMs: flags.storeHistory * MINUTE_MS,
      rolloutWritesPerS: flags.rolloutWrites,
      folder,
      onFenceLost: () => candidate.fenced(fence.epoch),
      onBroken: end,
    }),
  onBegun: serving.resolve,
  onFailed: (epoch) => candidate.fenced(epoch),
});
const candidate: Candidate = new Candidate({
  ...{ store, replica, log },
  onLead: (fence) => terms.begin(fence),
  onStepDown: () => void terms.end(),
});
measureFleet(() => terms.led?.hub);
measureRollouts(() => terms.led?.engine);
measureLeadership(candidate);
gauge("millrace.calls", "gRPC calls and streams that are open", openCalls, "{call}");

const toLeader = new ToLeader(() => candidate.leaderElsewhere?.address);
const leadership = leadershipService({ candidate, terms, store, log });
const gate = new StoreGate(() => candidate.leader?.behind);
const server = await startGrpcServer({
  address,
  services: [
    ...builds.services.map((service) => gate.guarded(service)),
    {
      definition: HistoryServiceService,
      implementation: historyService(new HistoryReader(store, builds.table, archive), log),
    },
    gate.guarded({
      definition: RolloutServiceService,
      implementation: toLeader.service(RolloutServiceService, () => terms.led?.rolloutService),
    }),
    gate.guarded({
      definition: FleetServiceService,
      implementation: toLeader.service(FleetServiceService, () => terms.led?.fleetService),
    }),
    gate.guarded({
      definition: GarbageServiceService,
      implementation: toLeader.service(GarbageServiceService, () => terms.led?.garbageService),
    }),
    {
      definition: DiagnosisServiceService,
      implementation: toLeader.service(
        DiagnosisServiceService,
        () => terms.current?.diagnosisService,
      ),
    },
    {
      definition: RelayServiceService,
      implementation: relayDoor({ candidate, terms, closing: closing.signal }),
    },
    {
      definition: LeadershipServiceService,
      implementation: {
        ...toLeader.service(LeadershipServiceService, () => terms.current && leadership),
        getLeader: leadership.getLeader,
      },
    },
  ],
  protoRoot: fileURLToPath(new URL("proto", packageRoot())),
  health,
  log,
});
const listening = formatAddress(server.address);
// A leader's key says where it is found, so the API listens before the replica takes part.
await candidate.start(flags.advertise ?? listening);
candidate
  .until(() => candidate.leaderElsewhere !== undefined, closing.signal)
  .then(serving.resolve, () => {});
await serving.promise;
await health.begin();

stopOnSignal(log, flags.drainTimeout, async (drain) => {
  health.drain();
  // First of all, so that another leads while this one ends what is under way.
  await candidate.stop();
  await terms.end();
  closing.abort();
  builds.close();
  toLeader.drain();
  await server.close(drain.leftMs);
  builds.stop();
  toLeader.close();
  await backups.stop();
  await store.close();
  await origin.close();
  await telemetry.stop();
});
printReady({
  program: "controlplane",
  id: replica,
  address: listening,
  metrics: telemetry.metricsPort,
});

/** Ends where this program can do nothing for the store, and starting it again would help nobody. */
function refuse(error: unknown): never {
  if (!(error instanceof SchemaError)) throw error;
  process.stderr.write(`millrace controlplane: ${error.message}\n`);
  process.exit(1);
}

/** Ends at once where going on could decide something twice; whoever supervises starts it anew. */
function end(why: string, error?: unknown): never {
  log.fatal({ err: error }, why);
  process.exit(75);
}
