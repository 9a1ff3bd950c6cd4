// The program `millrace agent`: on every machine, it brings the releases it is told to disk, runs them,
// and goes back where one fails. Failpoints (runtime/failpoint.ts): agent.after-fetch, agent.mid-stage,
// agent.after-stage, agent.before-start, agent.after-start, agent.before-switch, agent.after-switch,
// agent.before-drain, agent.after-drain, agent.mid-revert.
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { PIECE_CACHE_BYTES } from "../core/fleet/piece-cache.ts";
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
import { iceServer } from "../runtime/webrtc/ice-server.ts";
import { WebRtcTransport } from "../runtime/webrtc/web-rtc-transport.ts";
import type { IceServer } from "../runtime/webrtc/wrtc.ts";
import { Agent } from "./agent.ts";

const LABELS_MAX = 64;

/** A switch: the old process has 5 s to end unless its recipe says, and the new one is there at once. */
const DRAIN_MS_DEFAULT = 10_000;

interface Flags extends RateFlags {
  readonly join: readonly string[];
  readonly region: string;
  readonly root: string;
  readonly label: Readonly<Record<string, string>>;
  readonly listen: string;
  readonly advertise?: string;
  readonly webrtc: boolean;
  readonly iceServer: readonly IceServer[];
  readonly pieceCache: number;
  readonly diskBudget: number;
  readonly keep: number;
  readonly insecure: boolean;
  readonly stopServices: boolean;
  readonly metricsPort?: number;
  readonly drainTimeout: number;
}

const flags = drainTimeout(rateLimits(new Command("millrace agent")), DRAIN_MS_DEFAULT)
  .description("Keeps this machine running what the control plane says.")
  .requiredOption("--join <host:port,...>", "control planes or relays to begin with", addresses)
  .requiredOption("--region <name>", "region this machine is in")
  .requiredOption("--root <folder>", "folder for releases and state; made where missing")
  .option("--label <name=value>", "label of this machine; may be repeated", label, {})
  .option("--listen <host:port|none>", "where peers reach it; port 0: a free one", "127.0.0.1:0")
  .option("--advertise <host:port>", "what peers are told, where --listen is a wildcard")
  .option("--no-webrtc", "reach and be reached by TCP only")
  .option("--ice-server <url>", "STUN or TURN server for calls; may be repeated", iceServer, [])
  .option(
    "--piece-cache <bytes>",
    "pieces kept for other machines",
    wholeNumber(0),
    PIECE_CACHE_BYTES,
  )
  .option(
    "--disk-budget <bytes>",
    "what releases and pieces may take; 0: no limit",
    wholeNumber(0),
    0,
  )
  .option("--keep <n>", "releases kept of each service", wholeNumber(0), 3)
  .option("--insecure", "use other than loopback addresses, with no authentication", false)
  .option("--stop-services", "stop the services when the agent is stopped", false)
  .option("--metrics-port <n>", "serve Prometheus metrics on this loopback port", portNumber)
  .parse()
  .opts<Flags>();

const root = resolve(flags.root);
const unlock = lockRoot(root);
const identity = keptIdentity(root, "agent");
const agentId = identity.id;
const log = createLog("agent", { agent: agentId });
crashOnUnhandled(log);
const health = new Health({
  relay: () => (agent.isWelcome ? undefined : "no relay has taken this machine"),
});
const telemetry = await startTelemetry({
  program: "agent",
  health,
  ...(flags.metricsPort !== undefined && { metricsPort: flags.metricsPort }),
  attributes: { "service.instance.id": agentId, "millrace.region": flags.region },
});
const isListening = flags.listen !== "none";
const calls = flags.webrtc
  ? WebRtcTransport.create({
      identity,
      isLoopbackOnly: !flags.insecure,
      iceServers: flags.iceServer,
      log,
      send: (signal) => agent.signal(signal),
    })
  : undefined;
const node = await SwarmNode.listen({
  peerId: agentId,
  role: "agent",
  ...(isListening && listenAddress(flags.listen, flags.insecure)),
  advertise: flags.advertise,
  transports: calls === undefined ? [] : [calls],
  upLimit: flags.upLimit,
  downLimit: flags.downLimit,
  log,
});
measureSwarms(node);
const agent = new Agent({
  root,
  candidate: { agentId, region: flags.region, labels: flags.label },
  join: flags.join,
  node,
  calls,
  pieceCacheBytes: flags.pieceCache,
  diskBudgetBytes: flags.diskBudget,
  keepReleases: flags.keep,
  log,
});
await agent.start();
await health.begin();
stopOnSignal(log, flags.drainTimeout, async (drain) => {
  health.drain();
  await agent.stop(flags.stopServices, drain);
  await telemetry.stop();
  unlock();
});
printReady({
  program: "agent",
  id: agentId,
  ...(isListening && { swarm: node.address }),
  metrics: telemetry.metricsPort,
});

function addresses(text: string): string[] {
  return text.split(",").map((address) => formatAddress(parseAddress(address)));
}

function label(text: string, before: Record<string, string>): Record<string, string> {
  const at = text.indexOf("=");
  if (at <= 0) throw new InvalidArgumentError(`"${text}": expected name=value`);
  const labels = { ...before, [text.slice(0, at)]: text.slice(at + 1) };
  if (Object.keys(labels).length > LABELS_MAX) {
    throw new InvalidArgumentError(`more than ${LABELS_MAX} labels`);
  }
  return labels;
}
