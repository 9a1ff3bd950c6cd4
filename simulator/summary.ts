// What a run of a scenario comes to, as plain data: the verdict first, then times by phase, causes, bytes and
// loads. It reads a world that has run, and prints nothing.
import {
  PHASES,
  type Phase,
  type Quantiles,
  type Summary,
} from "../core/estimate/simulation-run.ts";
import type { FleetWorld } from "./flow/fleet-world.ts";
import { latencyOf, type OverBound, phasesOf, type Request } from "./flow/request-log.ts";

/** Of the slowest, so many are asked for what held them up. */
const SLOWEST_SHARE = 0.01;
const CAUSES_MAX = 8;
const MINUTE_MS = 60_000;

/** Sums a world up that has run. */
export function summaryOf(world: FleetWorld): Summary {
  const { scenario, gauges, regions } = world;
  const { slo } = scenario;
  const all = [...world.requests.values()];
  const ended = all.filter(({ outcome }) => outcome === "right");
  const counted = all.filter(({ outcome }) => outcome !== "own");
  const inTime = ended.filter((request) => latencyOf(request) <= slo.minutes * MINUTE_MS);
  const availability = counted.length === 0 ? 1 : inTime.length / counted.length;
  const latencies = quantiles(ended.map(latencyOf));
  const isInTime = latencies.p999_s * 1_000 <= slo.minutes * MINUTE_MS;
  const isMet = isInTime && availability >= slo.availability;
  const count = (outcome: Request["outcome"]) =>
    all.filter((one) => one.outcome === outcome).length;
  const median = medianOf(all.flatMap(({ distribution }) => distribution ?? []));
  const sum = (source: "origin" | "relay" | "peer" | "local") =>
    Math.round(regions.reduce((total, { bytes }) => total + bytes[source], 0));
  return {
    verdict: isMet ? "met" : "missed",
    why: `${inTime.length} of ${counted.length} requests ended rightly within ${slo.minutes} min`,
    slo,
    agents: world.agents.length,
    pieces: median?.pieces ?? 0,
    requests: {
      ...{ all: all.length, right: ended.length, late: ended.length - inTime.length },
      ...{ fault: count("fault"), own: count("own"), open: count("open") },
      reasons: tallied(all.map(({ outcome, reason }) => (outcome === "right" ? "" : reason))),
    },
    availability,
    ...{ p50_s: latencies.p50_s, p99_s: latencies.p99_s, p999_s: latencies.p999_s },
    last_active_s: latencies.last_s,
    phases: phaseQuantiles(ended),
    slowest: causesOf(ended),
    distribution_over_bound: median?.ratio ?? 0,
    distribution: median === undefined ? {} : termsOf(median),
    bytes: { origin: sum("origin"), relay: sum("relay"), peer: sum("peer"), local: sum("local") },
    peak: {
      origin_bytes_per_s: Math.round(gauges.peakOriginBytes),
      relay_sessions: gauges.peakSessions,
      relay_roster_messages_per_s: gauges.peakRosterMessages,
      relay_members_told_per_s: gauges.peakMembersTold,
      leader_facts_per_s: gauges.peakFacts,
      leader_writes_per_s: gauges.peakWrites,
      open_rollouts: gauges.peakRollouts,
      queued_builds: world.builds.queuedMost,
    },
    agents_back_s: world.backMs / 1_000,
    faults: world.faults.map(({ atMs, kind, what }) => ({ at_s: atMs / 1_000, kind, what })),
    trace: world.trace.text,
  };
}

/** Seconds at the quantiles of milliseconds; none are 0. */
function quantiles(ms: readonly number[]): Quantiles {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number) =>
    (sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0) / 1_000;
  return { p50_s: at(0.5), p99_s: at(0.99), p999_s: at(0.999), last_s: at(1) };
}

function phaseQuantiles(requests: readonly Request[]): Record<Phase, Quantiles> {
  const split = requests.map(phasesOf);
  const rows = PHASES.map((phase) => [phase, quantiles(split.map((one) => one[phase]))] as const);
  return Object.fromEntries(rows) as Record<Phase, Quantiles>;
}

/**
 * What held up the slowest: the phase that took the most more than its median, or the longest where there is only one
 * request; and the faults that came meanwhile.
 */
function causesOf(requests: readonly Request[]) {
  const slowest = requests
    .toSorted((one, other) => latencyOf(other) - latencyOf(one))
    .slice(0, Math.ceil(SLOWEST_SHARE * requests.length));
  const usual = requests.length > 1 ? phaseQuantiles(requests) : undefined;
  const causes = slowest.map((request) => {
    const phases = phasesOf(request);
    const overMs = (phase: Phase) => phases[phase] - 1_000 * (usual?.[phase].p50_s ?? 0);
    const longest = PHASES.toSorted((one, other) => overMs(other) - overMs(one))[0];
    const words = usual === undefined ? `mostly ${longest}` : `longer ${longest} than the median`;
    return request.causes.size === 0 ? words : `${words}; met ${[...request.causes].join(", ")}`;
  });
  return Object.entries(tallied(causes))
    .map(([cause, requests]) => ({ cause, requests }))
    .toSorted((one, other) => other.requests - one.requests)
    .slice(0, CAUSES_MAX);
}

function medianOf(all: readonly OverBound[]): OverBound | undefined {
  return all.toSorted((one, other) => one.ratio - other.ratio)[Math.floor((all.length - 1) / 2)];
}

function termsOf(one: OverBound): Record<string, number> {
  const { tookMs, packMs, boundMs, slowestMs, time, wholeRatio } = one;
  const { wanMs } = time;
  const { sourceMs, uplinksMs } = time.terms;
  return {
    ...{ took_ms: tookMs, pack_ms: packMs, bound_ms: boundMs, wan_ms: wanMs },
    ...{ relays_ms: sourceMs, machine_ms: slowestMs, uplinks_ms: uplinksMs },
    whole_over_bound: wholeRatio,
  };
}

/** How often each text comes; the empty one is left out. */
function tallied(texts: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const text of texts) if (text !== "") counts[text] = (counts[text] ?? 0) + 1;
  return counts;
}
