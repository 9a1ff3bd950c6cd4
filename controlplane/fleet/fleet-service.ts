// FleetService: regions, machines, and everything at a glance. What only relays know is asked of them.
import type {
  FleetServiceServer,
  GetStatusResponse,
  ListAgentsRequest,
  ListAgentsResponse,
  Region,
  RelayInfo,
} from "../../proto/gen/millrace/v1/fleet.ts";
import { unary } from "../../runtime/grpc/handlers.ts";
import { invalid, notFound } from "../../runtime/grpc/rpc-error.ts";
import type { Log } from "../../runtime/log.ts";
import { VERSION } from "../../runtime/version.ts";
import type { AgentDirectory } from "./agent-directory.ts";
import { type RelayHub, relayInfoOf } from "./relay-hub.ts";
import type { ReplicationTracker } from "./replication-tracker.ts";

const AGENTS_DEFAULT = 100;
const AGENTS_MAX = 1_000;
/** Longest id of an agent, and name of a region: longer ones name nothing, and are not asked for. */
const NAME_MAX = 64;
/** An agent's id may be shortened to so many characters. */
const ID_PREFIX_MIN = 4;
/** Bytes of agents in one answer: a message takes 256 KiB. */
const ANSWER_BYTES_MAX = 200 * 1024;

/** What the glance shows of builds and rollouts. */
export interface Overview {
  builds(): Promise<Pick<GetStatusResponse, "builds" | "workers">>;
  rollouts(): Promise<Pick<GetStatusResponse, "rollouts" | "recent">>;
}

export interface FleetServiceOptions {
  readonly hub: RelayHub;
  readonly tracker: ReplicationTracker;
  readonly directory: AgentDirectory;
  readonly overview: Overview;
  readonly log: Log;
}

export function createFleetService(options: FleetServiceOptions): FleetServiceServer {
  const { hub, directory, overview, log } = options;
  return {
    listRegions: unary(log, async () => ({ regions: regionsOf(options) })),
    listAgents: unary(log, (request) => listAgents(options, request)),
    getAgent: unary(log, async ({ id }) => {
      if (id.length < ID_PREFIX_MIN) {
        throw invalid(`id "${id}": give at least ${ID_PREFIX_MIN} characters of the agent's id`);
      }
      checkLength("id", id);
      const question = { region: "", after: "", limit: 2, failingOnly: false };
      const found = await directory.find({ ...question, prefix: id });
      const agent = found.find((one) => one.id === id) ?? found[0];
      if (agent === undefined) throw notFound(`no agent "${id}" is online`);
      if (agent.id !== id && found.length > 1) {
        const ids = found.map((one) => one.id).join(", ");
        throw invalid(`id "${id}" names more than one agent: ${ids}`);
      }
      return { agent };
    }),
    forgetRelay: unary(log, async ({ relay }) => {
      checkLength("relay", relay);
      await hub.forget(relay);
      return {};
    }),
    locateRelays: unary(log, async ({ region }) => ({ relays: locate(hub, region) })),
    getStatus: unary(log, async () => {
      const [builds, rollouts] = await Promise.all([overview.builds(), overview.rollouts()]);
      const about = { epoch: hub.epoch, version: VERSION };
      return { regions: regionsOf(options), ...builds, ...rollouts, ...about };
    }),
  };
}

function regionsOf({ hub, tracker }: FleetServiceOptions): Region[] {
  const online = new Map(hub.sessions.map((session) => [session.relay, relayInfoOf(session)]));
  const byRegion = new Map<string, RelayInfo[]>();
  for (const { relay, region, address, swarmAddress, capacity } of hub.known) {
    const absent = { id: relay, region, address, swarmAddress, capacity, agents: 0, online: false };
    byRegion.set(region, [...(byRegion.get(region) ?? []), online.get(relay) ?? absent]);
  }
  return [...byRegion]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, relays]) => {
      const agents = relays.reduce((sum, relay) => sum + relay.agents, 0);
      const [error = ""] = hub.packs
        .missing(name)
        .map(({ pack }) => tracker.error(name, pack))
        .filter((one) => one !== "");
      return { name, relays, agents, ...tracker.sum(name), error };
    });
}

async function listAgents(
  { directory }: FleetServiceOptions,
  request: ListAgentsRequest,
): Promise<ListAgentsResponse> {
  const limit = request.limit || AGENTS_DEFAULT;
  if (limit > AGENTS_MAX) throw invalid(`limit ${limit}: at most ${AGENTS_MAX}`);
  const { region, failingOnly, pageToken } = request;
  checkLength("region", region);
  checkLength("page_token", pageToken);
  const found = await directory.find({ region, failingOnly, prefix: "", after: pageToken, limit });
  let bytes = 0;
  const fitting = found.slice(0, limit).filter((agent) => {
    bytes += JSON.stringify(agent).length;
    return bytes <= ANSWER_BYTES_MAX;
  });
  const agents = fitting.length === 0 ? found.slice(0, 1) : fitting;
  const nextPageToken = agents.length < found.length ? (agents.at(-1)?.id ?? "") : "";
  return { agents, nextPageToken };
}

function checkLength(field: string, text: string): void {
  if (text.length > NAME_MAX) {
    throw invalid(`${field} has ${text.length} characters, at most ${NAME_MAX}`);
  }
}

function locate(hub: RelayHub, wanted: string): RelayInfo[] {
  const regions = [...new Set(hub.known.map(({ region }) => region))];
  const region = wanted || (regions.length === 1 ? regions[0] : undefined);
  if (region === undefined) {
    const names = regions.join(", ") || "none yet";
    throw invalid(`region is empty and there is not exactly one: ${names}`);
  }
  return hub.sessions.filter((session) => session.region === region).map(relayInfoOf);
}
