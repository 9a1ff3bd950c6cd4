// What a simulation came to, for people: the verdict first, then where the time went.
import { peakWords } from "../../core/estimate/peak-words.ts";
import type { Quantiles, SimulationRun } from "../../core/estimate/simulation-run.ts";
import { formatBytes } from "../../runtime/program/byte-amount.ts";
import { formatDuration } from "../../runtime/recipe/duration.ts";
import { formatFields, formatTable } from "./format.ts";

/** The run for people. */
export function describeSimulation(run: SimulationRun): string {
  const { slo, verdict } = run;
  const target = `${percent(slo.availability)} of requests within ${slo.minutes} min`;
  const fields = formatFields([
    ["scenario", `${run.scenario}: ${run.about}`],
    ["machines", `${run.agents.toLocaleString("en")}, seed ${run.seed}`],
    ["availability", `${percent(run.availability)}: ${run.why}`],
    ["requests", requestWords(run)],
    ["distribution", distributionWords(run)],
    [
      "bytes",
      Object.entries(run.bytes)
        .map(([from, bytes]) => `${from} ${formatBytes(bytes)}`)
        .join(", "),
    ],
    ["faults", faultWords(run)],
    ["agents back", backWords(run)],
    ["took", `${seconds(run.wall_s)}, ${Math.round(run.peak_rss_mb)} MB; trace ${run.trace}`],
  ]);
  const causes = run.slowest.map(({ cause, requests }) => [cause, String(requests)]);
  return [
    `SLO ${verdict}: ${target}`,
    fields,
    phaseTable(run),
    formatTable(["PEAK LOAD", ""], peakWords(run.peak, formatBytes)),
    causes.length === 0 ? "" : formatTable(["THE SLOWEST 1 %", "REQUESTS"], causes),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function requestWords({ requests }: SimulationRun): string {
  const { all, right, late, fault, own, open, reasons } = requests;
  const why = Object.entries(reasons).map(([reason, count]) => `${reason} ${count}`);
  const words = [
    ...[`${all} in all`, `${right} ended rightly`, `${late} of these late`],
    ...[`${fault} by a fault`, `${own} by their own command`, `${open} not at all`],
  ];
  return `${words.join(", ")}${why.length === 0 ? "" : ` (${why.join(", ")})`}`;
}

function faultWords({ faults }: SimulationRun): string {
  const counts = new Map<string, number>();
  for (const { kind } of faults) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, count]) => `${kind} ${count}`).join(", ");
}

/** Of machines that lost their relays. */
function backWords({ agents_back_s }: SimulationRun): string {
  return agents_back_s === 0 ? "" : `all with a relay ${seconds(agents_back_s)} after the fault`;
}

function distributionWords({ distribution, distribution_over_bound }: SimulationRun): string {
  const whole = distribution["whole_over_bound"];
  if (whole === undefined) return "";
  const rest = distribution_over_bound.toFixed(2);
  return `${whole.toFixed(2)} of the least possible from the first byte packed, ${rest} from the last`;
}

function phaseTable({ phases, p50_s, p99_s, p999_s, last_active_s }: SimulationRun): string {
  const row = (name: string, { p50_s, p99_s, p999_s, last_s }: Quantiles) => [
    name,
    ...[p50_s, p99_s, p999_s, last_s].map(seconds),
  ];
  const rows = Object.entries(phases).map(([phase, times]) => row(phase, times));
  const whole = row("request to active", { p50_s, p99_s, p999_s, last_s: last_active_s });
  return formatTable(["PHASE", "P50", "P99", "P99.9", "LAST"], [...rows, whole]);
}

function seconds(value: number): string {
  return formatDuration(value * 1_000);
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(3))} %`;
}
