// The driver of a load run, one of several processes: runs its share of the agents, and tells whoever started it, by
// the channel of child processes, how many are connected and how many permits have come. It says once that it is
// ready, begins at the first word on that channel, and ends with it.
import { parseArgs } from "node:util";
import { TokenBucket } from "../../core/fleet/token-bucket.ts";
import { monotonicNow } from "../../runtime/driver.ts";
import { crashOnUnhandled, createLog } from "../../runtime/log.ts";
import { SharedConnections } from "./shared-connections.ts";
import { VirtualAgent } from "./virtual-agent.ts";

/** How often it is looked how things stand; times in a report are as exact as that. */
const LOOK_MS = 50;
/** Agents that may be on their way to their first relay; a relay takes 1,000 strangers from all drivers. */
const STARTING_MAX = 200;
/** Rollouts whose permits are counted. */
const ROLLOUTS_MAX = 100;

const { values } = parseArgs({
  options: {
    join: { type: "string" },
    region: { type: "string" },
    prefix: { type: "string" },
    agents: { type: "string" },
    label: { type: "string", multiple: true, default: [] },
    "per-connection": { type: "string" },
    rate: { type: "string", default: "0" },
  },
});
const { join = "", region = "", prefix = "" } = values;
const count = Number(values.agents);
const rate = Number(values.rate);
const labels = Object.fromEntries(
  values.label.map((label) => label.split("=") as [string, string]),
);

const log = createLog("load");
crashOnUnhandled(log);
const ways = new SharedConnections(Number(values["per-connection"]));
const permits = new Map<string, number>();
const agents: VirtualAgent[] = [];
const bucket = rate > 0 ? new TokenBucket(monotonicNow(), Math.max(1, rate / 10), rate) : undefined;
let welcomed = 0;
let told = "";

process.on("disconnect", () => process.exit(0));
process.once("message", () => {
  setInterval(look, LOOK_MS);
  look();
});
tell();

function look(): void {
  while (agents.length < count && agents.length - welcomed < STARTING_MAX) {
    if (bucket?.take(monotonicNow()) === false) break;
    start();
  }
  tell();
}

function start(): void {
  let isNew = true;
  const agent = new VirtualAgent({
    candidate: { agentId: `${prefix}-${agents.length}`, region, labels },
    join: join.split(","),
    ways,
    log,
    onWelcome: () => {
      if (isNew) welcomed += 1;
      isNew = false;
    },
    onPermit: (rollout) => {
      permits.set(rollout, (permits.get(rollout) ?? 0) + 1);
      if (permits.size > ROLLOUTS_MAX) permits.delete([...permits.keys()][0] as string);
    },
  });
  agents.push(agent);
  void agent.run();
}

function tell(): void {
  let connected = 0;
  for (const agent of agents) if (agent.isWelcome) connected += 1;
  const standing = {
    started: agents.length,
    connected,
    connections: ways.size,
    permits: Object.fromEntries(permits),
  };
  const text = JSON.stringify(standing);
  if (text === told) return;
  told = text;
  process.send?.(standing);
}
