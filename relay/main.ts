// The relay program: reads its flags, opens its stores and listeners, and runs until it is told to stop.
// Failpoints: relay.after-segment-stored, relay.before-permit, relay.after-permit.
import { randomBytes } from "node:crypto";
import { Command } from "commander";
import { MIRROR_LIMITS, MIRROR_LIMITS_COSTLY } from "../core/fleet/mirror.ts";
import { RosterServiceService } from "../proto/gen/millrace/v1/fleet.ts";
import { BlobProbe } from "../runtime/blobs/blob-probe.ts";
import { openBlobStore } from "../runtime/blobs/open-blob-store.ts";
import { startGrpcServer } from "../runtime/grpc/server.ts";
import { formatAddress, listenAddress, parseAddress } from "../runtime/listen-address.ts";
import { crashOnUnhandled, createLog } from "../runtime/log.ts";
import { measureSwarms } from "../runtime/peer/swarm-metrics.ts";
import { SwarmNode } from "../runtime/peer/swarm-node.ts";
import { Health } from "../runtime/program/health.ts";
import { keptIdentity } from "../runtime/program/kept-id.ts";
import { drainTimeout, printReady, stopOnSignal } from "../runtime/program/lifecycle.ts";
import { portNumber, wholeNumber } from "../runtime/program/number-flags.ts";
import { type RateFlags, rateLimits } from "../runtime/program/rate-limits.ts";
import { lockRoot } from "../runtime/program/root-lock.ts";
import { startTelemetry } from "../runtime/telemetry.ts";
import { VERSION } from "../runtime/version.ts";
import { iceServer } from "../runtime/webrtc/ice-server.ts";
import { WebRtcTransport } from "../runtime/webrtc/web-rtc-transport.ts";
import type { IceServer } from "../runtime/webrtc/wrtc.ts";
import { RELAY_AGENT_SERVICE } from "./agent-service.ts";
import { Relay } from "./relay.ts";

/** Agents of one relay, by default: a region of 20,000 on one of two, should the other be gone. */
const CAPACITY_DEFAULT = 20_000;

/** So many agents are sent away in 10 s; a segment of 64 MiB takes 5 s at 100 Mbit/s. */
const DRAIN_MS_DEFAULT = 15_000;

interface Flags extends RateFlags {
  readonly controlplane: string;
  readonly region: string;
  readonly root: string;
  readonly origin: string;
  readonly regionStore: string;
  readonly listen: string;
  readonly swarmListen: string;
  readonly webrtc: boolean;
  readonly iceServer: readonly IceServer[];
  readonly regionBudget: number;
  readonly capacity: number;
  readonly metricsPort?: number;
  readonly drainTimeout: number;
  readonly insecure: boolean;
}

const flags = drainTimeout(rateLimits(new Command("millrace relay")), DRAIN_MS_DEFAULT)
  .description("Serve a region: mirror packs, seed them, forward commands, sum up reports.")
  .version(VERSION)
  .requiredOption("--controlplane <host:port,...>", "control planes to connect to")
  .requiredOption("--region <name>", "region that it serves")
  .requiredOption("--root <dir>", "folder for its own state")
  .requiredOption("--origin <url>", "where builds lie: file:PATH or gs://BUCKET/PREFIX")
  .requiredOption("--region-store <url>", "the region's own: file:PATH or gs://BUCKET/PREFIX")
  .option(
    "--region-budget <bytes>",
    "packs of old releases stay in the region's store within it; 0: only what is needed stays",
    wholeNumber(0),
    0,
  )
  .option("--listen <host:port>", "where agents connect; port 0: a free one", "127.0.0.1:7080")
  .option("--swarm-listen <host:port>", "where peers connect; port 0: a free one", "127.0.0.1:7081")
  .option("--no-webrtc", "be reached by TCP only")
  .option("--ice-server <url>", "STUN or TURN server for calls; may be repeated", iceServer, [])
  .option("--capacity <n>", "agents it takes at most", wholeNumber(0), CAPACITY_DEFAULT)
  .option("--metrics-port <n>", "serve Prometheus metrics on this port of loopback", portNumber)
  .option("--insecure", "use other than loopback addresses, without authentication", false)
  .parse()
  .opts<Flags>();

const log = createLog("relay", { region: flags.region });
crashOnUnhandled(log);
try {
  await run();
} catch (error) {
  process.stderr.write(`millrace relay: ${(error as Error).message}\n`);
  process.exit(1);
}

async function run(): Promise<void> {
  const controlplane = flags.controlplane
    .split(",")
    .map((each) => formatAddress(parseAddress(each)));
  const address = listenAddress(flags.listen, flags.insecure);
  const swarm = listenAddress(flags.swarmListen, flags.insecure);
  const unlock = lockRoot(flags.root);
  const identity = keptIdentity(flags.root, "relay");
  const relayId = identity.id;
  const health = new Health({
    controlplane: () => (relay.isLed ? undefined : "no leader speaks to this relay"),
    "region store": () => probe.trouble(),
  });
  const telemetry = await startTelemetry({
    program: "relay",
    health,
    metricsPort: flags.metricsPort,
    attributes: { "millrace.region": flags.region, "service.instance.id": relayId },
  });
  const origin = await openBlobStore(flags.origin);
  const regionStore = await openBlobStore(flags.regionStore);
  if (regionStore.place === origin.place) {
    // A pack that the region needs no more would be deleted where all others get it from.
    throw new Error(
      `--region-store ${flags.regionStore} is the origin: give the region a place of its own`,
    );
  }
  const probe = new BlobProbe(regionStore, relayId);
  const calls = flags.webrtc
    ? WebRtcTransport.create({
        identity,
        isLoopbackOnly: !flags.insecure,
        iceServers: flags.iceServer,
        log,
        send: (signal) => relay.signal(signal),
      })
    : undefined;
  const transports = calls === undefined ? [] : [calls];
  const node = await SwarmNode.listen({
    peerId: relayId,
    role: "relay",
    ...swarm,
    transports,
    upLimit: flags.upLimit,
    downLimit: flags.downLimit,
    log,
  });
  measureSwarms(node);
  const { region, root, capacity } = flags;
  const boot = randomBytes(8).toString("hex");
  const relay = new Relay({
    relayId,
    boot,
    region,
    root,
    capacity,
    origin,
    regionStore,
    // What leaves a bucket is paid for.
    mirrorLimits: flags.origin.startsWith("gs:") ? MIRROR_LIMITS_COSTLY : MIRROR_LIMITS,
    regionBudgetBytes: flags.regionBudget,
    node,
    calls,
    log,
  });
  const server = await startGrpcServer({
    address,
    services: [
      { definition: RELAY_AGENT_SERVICE, implementation: relay.agentService() },
      { definition: RosterServiceService, implementation: relay.rosterService() },
    ],
    isCounted: false,
    health,
    log,
  });
  const listening = formatAddress(server.address);
  await relay.begin(controlplane, listening);
  await health.begin();
  const ready = { program: "relay", id: relayId, address: listening, swarm: node.address };
  printReady({ ...ready, metrics: telemetry.metricsPort });
  stopOnSignal(log, flags.drainTimeout, async (drain) => {
    health.drain();
    await relay.stop(drain);
    await server.close(drain.leftMs);
    await node.close();
    await Promise.all([origin.close(), regionStore.close()]);
    await telemetry.stop();
    unlock();
  });
}
