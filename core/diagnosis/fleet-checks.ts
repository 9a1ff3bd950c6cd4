// What is wrong with regions, relays and machines.
import { clockChecks, versionChecks } from "./caller-checks.ts";
import type { ClusterFacts, RegionFacts, RelayFacts } from "./facts.ts";
import type { Finding, Severity } from "./finding.ts";

/** A relay says something every 2 s. */
const SILENT_MS = 10_000;
/** Relays of a region, so that one can be lost or upgraded. */
const RELAYS_MIN = 2;
const RELAY_FULL_SHARE = 0.9;
/** 10 GB take 86 s at 1 Gbit/s; a rollout fails after 10 min. */
const LAG_WARNING_MS = 180_000;
const LAG_ERROR_MS = 600_000;
/** Shares of a region's machines, percent; a rollout may have as many out as it was told. */
const FAILING_WARNING_PERCENT = 1;
const FAILING_ERROR_PERCENT = 10;
const AWAY_WARNING_PERCENT = 5;
const AWAY_ERROR_PERCENT = 30;
/** Packs named in one line. */
const NAMED_MAX = 3;

/** Of all regions; a region without a second relay is as it should be where there is one control plane alone. */
export function fleetChecks({ regions, version, store }: ClusterFacts): Finding[] {
  return regions.flatMap((region) => [
    ...relayCount(region, store.isShared),
    ...region.relays.flatMap((relay) => relayChecks(relay, version)),
    ...replication(region),
    ...machines(region),
  ]);
}

function relayCount({ region, relays }: RegionFacts, isShared: boolean): Finding[] {
  const online = relays.filter(({ isOnline }) => isOnline).length;
  if (online >= RELAYS_MIN || (online === 1 && !isShared)) return [];
  return [
    {
      check: "few-relays",
      severity: online === 0 ? "error" : "warning",
      where: `region ${region}`,
      what:
        online === 0
          ? "no relay is online: its machines hear of nothing, rollouts wait"
          : "one relay is online: with it the region is lost",
      advice: `start relays, ${RELAYS_MIN} or more for a region`,
    },
  ];
}

function relayChecks(facts: RelayFacts, version: string): Finding[] {
  const where = `relay ${facts.relay}`;
  if (!facts.isOnline) {
    const what = "it is known and not connected";
    const advice = `start it again, or forget it: millrace regions --forget ${facts.relay}`;
    return [{ check: "relay-silent", severity: "warning", where, what, advice }];
  }
  const findings = versionChecks(where, facts.version, version);
  if (facts.clockAheadMs !== undefined) findings.push(...clockChecks(where, facts.clockAheadMs));
  if (facts.silentMs !== undefined && facts.silentMs > SILENT_MS) {
    findings.push({
      check: "relay-silent",
      severity: "error",
      where,
      what: `it is connected and has reported nothing for ${Math.round(facts.silentMs / 1_000)} s`,
      advice: "see its log and whether its machine is overloaded; start it again",
    });
  }
  if (facts.agents >= facts.capacity * RELAY_FULL_SHARE && facts.agents > 0) {
    findings.push({
      check: "relay-full",
      severity: facts.agents >= facts.capacity ? "error" : "warning",
      where,
      what: `${facts.agents} of ${facts.capacity} machines are connected`,
      advice: "start another relay in the region, or raise --capacity",
    });
  }
  return findings;
}

function replication({ region, missing }: RegionFacts): Finding[] {
  const where = `region ${region}`;
  const refused = missing.find(({ error }) => error !== "");
  const findings: Finding[] = [];
  if (refused !== undefined) {
    findings.push({
      check: "region-store",
      severity: "error",
      where,
      what: `pack ${refused.pack} cannot be mirrored: ${refused.error}`,
      advice: "see the space of its store, and the relays' rights to it and to the origin",
    });
  }
  const late = missing.filter(({ forMs }) => forMs > LAG_WARNING_MS);
  if (late.length === 0) return findings;
  const longestMs = Math.max(...late.map(({ forMs }) => forMs));
  const names = late.slice(0, NAMED_MAX).map(({ pack }) => pack);
  const more = late.length > names.length ? ` and ${late.length - names.length} more` : "";
  findings.push({
    check: "region-lags",
    severity: longestMs > LAG_ERROR_MS ? "error" : "warning",
    where,
    what: `${names.join(", ")}${more} not whole after ${Math.round(longestMs / 60_000)} min`,
    advice: "see its relays' logs and the way from the origin; ship without the region meanwhile",
  });
  return findings;
}

function machines({ region, agents, agentsPeak, failing }: RegionFacts): Finding[] {
  const where = `region ${region}`;
  const findings: Finding[] = [];
  if (failing === undefined) {
    findings.push({
      check: "relay-silent",
      severity: "warning",
      where,
      what: "a relay did not say which machines fail",
      advice: "ask again; where it stays so, see the relays' logs",
    });
  }
  const failed = shareOf(failing ?? 0, agents, FAILING_WARNING_PERCENT, FAILING_ERROR_PERCENT);
  if (failed !== undefined) {
    findings.push({
      check: "agents-failing",
      severity: failed,
      where,
      what: `of ${agents} machines ${failing} have a service that failed`,
      advice:
        "see millrace agents --failing, and go back where a release is bad: millrace rollback",
    });
  }
  const away = agentsPeak - agents;
  const gone = shareOf(away, agentsPeak, AWAY_WARNING_PERCENT, AWAY_ERROR_PERCENT);
  if (gone !== undefined) {
    findings.push({
      check: "agents-away",
      severity: gone,
      where,
      what: `${agents} machines are connected, ${agentsPeak} were in the last minutes`,
      advice: "see the network to its relays, and the agents' logs on some that are away",
    });
  }
  return findings;
}

/** How bad a share is; undefined: not at all. */
function shareOf(
  part: number,
  whole: number,
  warningPercent: number,
  errorPercent: number,
): Severity | undefined {
  if (part === 0 || whole === 0) return undefined;
  const percent = (part / whole) * 100;
  if (percent >= errorPercent) return "error";
  return percent >= warningPercent ? "warning" : undefined;
}
