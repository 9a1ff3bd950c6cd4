// A run as one page that needs nothing else: the verdict, and plots by uplot, whose script and style are put into
// it. It reads no file; whoever writes the page gives them.
import { peakWords } from "../core/estimate/peak-words.ts";
import type { Summary } from "../core/estimate/simulation-run.ts";
import type { Point } from "./flow/gauges.ts";

const BUCKETS = 40;

/** What a page shows. */
export interface PageFacts {
  readonly title: string;
  readonly about: string;
  readonly summary: Summary;
  readonly points: readonly Point[];
  readonly regions: readonly string[];
  /** Seconds from request to the last machine active, of all that ended rightly. */
  readonly latencies: readonly number[];
  /** Writes an amount of bytes. */
  readonly bytesWords: (bytes: number) => string;
}

/** uplot's own script and style. */
export interface PlotSources {
  readonly script: string;
  readonly style: string;
}

/** The page. */
export function reportPage(facts: PageFacts, sources: PlotSources): string {
  const { title, about, summary } = facts;
  const isMet = summary.verdict === "met";
  const data = JSON.stringify(plotsOf(facts)).replaceAll("<", "\\u003c");
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>millrace simulate ${escaped(title)}: ${summary.verdict}</title>
<style>${sources.style}
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1d2430; background: #fff; }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1rem; margin: 0 0 .5rem }
.verdict { color: ${isMet ? "#19713c" : "#b3261e"} }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(30rem, 1fr)); gap: 2rem; margin-top: 2rem }
.tables { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: flex-start }
.plots > section { min-width: 0 } table { border-collapse: collapse; margin-top: 1rem }
td, th { text-align: left; padding: .15rem 1.2rem .15rem 0; font-variant-numeric: tabular-nums }
</style>
<h1>${escaped(title)}: <span class="verdict">SLO ${summary.verdict}</span></h1>
<p>${escaped(about)}. ${escaped(summary.why)}.</p>
<div class="tables">${table(summary)}${loadTable(facts)}</div>
<div class="plots" id="plots"></div>
<script>${sources.script}</script>
<script>const plots = ${data};
${DRAW}</script>
</html>
`;
}

function table(summary: Summary): string {
  const rows = Object.entries(summary.phases).map(([phase, { p50_s, p99_s, p999_s, last_s }]) =>
    row("td", [phase, ...[p50_s, p99_s, p999_s, last_s].map(seconds)]),
  );
  const { p50_s, p99_s, p999_s, last_active_s } = summary;
  const whole = ["request to active", ...[p50_s, p99_s, p999_s, last_active_s].map(seconds)];
  return `<table>${row("th", ["phase", "p50", "p99", "p99.9", "last"])}${rows.join("")}${row("th", whole)}</table>`;
}

/** Peak load, what held up the slowest, and faults. */
function loadTable({ summary, bytesWords }: PageFacts): string {
  const peaks = peakWords(summary.peak, bytesWords).map((words) => row("td", words));
  const slowest = summary.slowest.map(({ cause, requests }) =>
    row("td", [cause, requests.toLocaleString("en")]),
  );
  const parts = [row("th", ["peak load", ""]), ...peaks];
  if (slowest.length > 0) parts.push(row("th", ["the slowest 1 %", "requests"]), ...slowest);
  return `<table>${parts.join("")}</table>`;
}

function row(cell: string, texts: readonly string[]): string {
  return `<tr>${texts.map((text) => `<${cell}>${escaped(text)}</${cell}>`).join("")}</tr>`;
}

function seconds(value: number): string {
  return value < 60 ? `${value.toFixed(1)} s` : `${(value / 60).toFixed(1)} min`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

/** Plots as data; `marks` are instants in minutes, with what happened. */
function plotsOf({ summary, points, regions, latencies, bytesWords }: PageFacts) {
  const minutes = points.map(({ atS }) => atS / 60);
  const marks = summary.faults.map(({ at_s, kind }) => ({ at: at_s / 60, text: kind }));
  const lines = regions.map((_, index) => points.map(({ active }) => active[index] ?? 0));
  const phases = Object.entries(summary.phases);
  const ends = phases.map(
    (_, index) => phases.slice(0, index + 1).reduce((sum, [, one]) => sum + one.p50_s, 0) / 60,
  );
  const sources = Object.entries(summary.bytes);
  return [
    {
      ...{ title: "Machines that run what was rolled out, by region", kind: "lines", x: "minutes" },
      ...{ names: regions, marks, data: [minutes, ...lines] },
    },
    {
      ...{ title: "Where the median request's time goes, minutes", kind: "steps" },
      ...{ labels: phases.map(([phase]) => phase), data: [ends.map((_, index) => index), ends] },
      froms: [0, ...ends.slice(0, -1)],
    },
    histogram(latencies),
    {
      ...{
        title: "Bytes by source, TB",
        kind: "bars",
        labels: sources.map(([source, bytes]) => `${source} ${bytesWords(bytes)}`),
      },
      data: [sources.map((_, index) => index), sources.map(([, bytes]) => bytes / 1e12)],
    },
  ];
}

function histogram(latencies: readonly number[]) {
  const minutes = latencies.map((one) => one / 60);
  const low = Math.floor(Math.min(...minutes, Number.MAX_VALUE));
  const high = Math.max(low + 1, Math.ceil(Math.max(0, ...minutes)));
  const counts = new Array<number>(BUCKETS).fill(0);
  for (const one of minutes) {
    const bucket = Math.min(BUCKETS - 1, Math.floor(((one - low) / (high - low)) * BUCKETS));
    counts[bucket] = (counts[bucket] as number) + 1;
  }
  const middles = counts.map((_, bucket) => low + ((bucket + 0.5) * (high - low)) / BUCKETS);
  const title = "Requests by time from request to the last machine, minutes";
  return { title, kind: "histogram", data: [middles, counts] };
}

/** Runs in the page: one plot for each of `plots`. */
const DRAW = `
const colours = ["#3366cc","#dc7a28","#2f9e62","#b3357a","#7a57d1","#b8912b","#2a9db0","#d04848","#6b7a8f","#5c8a2f"];
const markPlugin = (marks) => ({ hooks: { draw: [(u) => {
  const { ctx, bbox } = u;
  ctx.save(); ctx.strokeStyle = ctx.fillStyle = "#b3261e"; ctx.font = 11 * devicePixelRatio + "px system-ui";
  ctx.setLineDash([4, 4]); ctx.textAlign = "left";
  marks.forEach(({ at, text }, index) => {
    const x = u.valToPos(at, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
    if (marks.length <= 6) ctx.fillText(text, x + 4, bbox.top + (14 + 14 * index) * devicePixelRatio);
  });
  ctx.restore();
}] } });
// All are in the page before the first is measured.
const sections = plots.map(({ title }) => {
  const section = document.createElement("section");
  const heading = document.createElement("h2");
  heading.textContent = title;
  section.append(heading);
  document.getElementById("plots").append(section);
  return section;
});
for (const [index, plot] of plots.entries()) {
  const section = sections[index];
  const isNamed = plot.labels !== undefined;
  const ticks = isNamed ? { values: (u, at) => at.map((one) => plot.labels[one] ?? ""), splits: () => plot.data[0] } : {};
  const disp = plot.froms === undefined ? {} : { disp: { y0: { unit: 1, values: () => plot.froms }, y1: { unit: 1, values: () => plot.data[1] } } };
  const paths = plot.kind === "lines" ? undefined : uPlot.paths.bars({ size: [0.7, 90], ...disp });
  const names = plot.names ?? [""];
  new uPlot({
    width: section.clientWidth, height: 300,
    legend: { show: plot.kind === "lines", live: false },
    cursor: { show: plot.kind === "lines" },
    scales: { x: { time: false, ...(isNamed && { range: [-0.6, plot.data[0].length - 0.4] }) }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.05 : 1] } },
    axes: [{ ...ticks, ...(plot.x !== undefined && { label: plot.x, labelSize: 20 }) }, { size: 70 }],
    series: [{ label: plot.x ?? "" }, ...names.map((label, index) => ({
      label, stroke: colours[index % colours.length], width: plot.kind === "lines" ? 2 : 0,
      fill: plot.kind === "lines" ? undefined : colours[0] + "cc", paths, points: { show: false },
    }))],
    plugins: plot.marks === undefined ? [] : [markPlugin(plot.marks)],
  }, plot.data, section);
}
`;
