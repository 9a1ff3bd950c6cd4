// Regions and machines as `millrace regions` and `millrace agents` show them, and as JSON.
import type { AgentInfo, Region, ServiceStatus } from "../../proto/gen/millrace/v1/fleet.ts";
import { formatBytes } from "../../runtime/program/byte-amount.ts";
import { phaseName } from "../remote/states.ts";
import { describeBytes } from "./describe.ts";
import { clip, formatFields, formatTable, formatTime, shortId } from "./format.ts";

/** Columns that an error may take in a table. */
const ERROR_COLUMNS_MAX = 36;

/** A table of regions, a row for each relay. */
export function regionTable(regions: readonly Region[]): string {
  if (regions.length === 0) return "no regions: no relay has connected yet";
  const rows = regions.flatMap((region) => {
    const own = [region.name, String(region.agents), String(region.packs)];
    const bytes = formatBytes(region.bytes);
    if (region.relays.length === 0) return [[...own, bytes, "-", "-", "-"]];
    return region.relays.map((relay, index) => [
      ...(index === 0 ? [...own, bytes] : ["", "", "", ""]),
      relay.id,
      relay.address,
      `${relay.online ? "online" : "offline"}, ${relay.agents} of ${relay.capacity}`,
    ]);
  });
  const head = ["REGION", "AGENTS", "PACKS", "BYTES", "RELAY", "ADDRESS", "STATE"];
  const errors = regions
    .filter(({ error }) => error !== "")
    .map(({ name, error }) => `region ${name} does not get a pack: ${error}`);
  return [formatTable(head, rows), ...errors].join("\n");
}

/** A table of machines, a row for each of their services. */
export function agentTable(agents: readonly AgentInfo[]): string {
  if (agents.length === 0) return "no agents";
  const rows = agents.flatMap((agent) => {
    const own = [agent.id, agent.region, agent.online ? "online" : "offline"];
    if (agent.services.length === 0) return [[...own, "-", "-", "-", ""]];
    return agent.services.map((service) => [
      ...own,
      service.service,
      shortId(service.running),
      phaseWords(service),
      clip(service.error, ERROR_COLUMNS_MAX),
    ]);
  });
  return formatTable(["AGENT", "REGION", "STATE", "SERVICE", "RUNNING", "PHASE", "ERROR"], rows);
}

/** One machine in full. */
export function agentDetail(agent: AgentInfo): string {
  const labels = Object.entries(agent.labels).map(([key, value]) => `${key}=${value}`);
  const machine = formatFields([
    ["agent", agent.id],
    ["region", agent.region],
    ["state", agent.online ? "online" : "offline"],
    ["since", agent.connectedAtMs === 0 ? "" : formatTime(agent.connectedAtMs)],
    ["relay", agent.relay],
    ["peers at", agent.swarmAddress],
    ["labels", labels.join(", ")],
    ["folder", agent.root],
    ["version", agent.version],
  ]);
  return [machine, ...agent.services.map(serviceDetail)].join("\n\n");
}

/** A machine for --json: the fields of the API, phases as words. */
export function agentRecord(agent: AgentInfo): Readonly<Record<string, unknown>> {
  const services = agent.services.map((service) => ({
    ...service,
    phase: phaseName(service.phase),
  }));
  return { ...agent, services };
}

function phaseWords(service: ServiceStatus): string {
  const missing = service.missingBytes === 0 ? "" : ` ${formatBytes(service.missingBytes)} left`;
  return `${phaseName(service.phase)}${missing}`;
}

function serviceDetail(service: ServiceStatus): string {
  return formatFields([
    ["service", service.service],
    ["phase", phaseWords(service)],
    ["running", service.running],
    ["to run", service.release],
    ["last good", service.lastGood],
    ["healthy", service.healthy ? "yes" : "no"],
    ["error", service.error],
    ["rollout", service.rollout],
    ["process", service.pid === 0 ? "" : `${service.pid}`],
    ["port", service.port === 0 ? "" : `${service.port}`],
    ["bytes", service.bytes === undefined ? "" : describeBytes(service.bytes)],
  ]);
}
