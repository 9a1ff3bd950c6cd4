// Traces and metrics of a whole system: one trace from submit to the last machine's activation where a
// receiver is configured, not one connection to anywhere where none is, and what each program measures.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Metadata } from "@grpc/grpc-js";
import { BuildServiceClient, BuildState } from "../../proto/gen/millrace/v1/builds.ts";
import { call, connect } from "../../runtime/grpc/client.ts";
import { Lab } from "../lab/lab.ts";
import { hookSample } from "../lab/sample-service.ts";
import { until } from "../lab/until.ts";
import { Collector, type ReceivedSpan } from "./telemetry-collector.ts";

const RECORDER = fileURLToPath(new URL("./telemetry-connections.ts", import.meta.url));
const AGENTS = 2;
/** Span of a build system that asks for a build. */
const CALLER = { traceId: "ab".repeat(16), spanId: "cd".repeat(8) };

/** Spans by program and name, each with the name of the span above it. */
type Trace = readonly (readonly [program: string, name: string, parent: string])[];
const BUILD: Trace = [
  ["controlplane", "build.submit", ""],
  ["worker", "build.attempt", "build.submit"],
  ["worker", "build.fetch", "build.attempt"],
  ["worker", "build.run", "build.attempt"],
  ["worker", "build.pack", "build.attempt"],
  ["controlplane", "build.complete", "build.submit"],
];
const AGENT: Trace = [
  ["agent", "agent.stage", "build.submit"],
  ["agent", "agent.activate", "build.submit"],
];
const SHIP: Trace = [
  ...BUILD,
  ["controlplane", "rollout", "build.submit"],
  ...Array.from({ length: AGENTS }, () => AGENT).flat(),
];

const labs: Lab[] = [];
const collector = await Collector.start();
after(async () => {
  for (const lab of labs) await lab.close();
  collector.close();
});

/** A system whose connections are written down. */
async function startLab(env: Record<string, string>, metrics: boolean): Promise<Lab> {
  const lab = new Lab();
  labs.push(lab);
  const recording = {
    NODE_OPTIONS: `--disable-warning=ExperimentalWarning --import=${RECORDER}`,
    CONNECTIONS_FILE: lab.path("connections"),
  };
  await lab.start({ regions: 1, agents: AGENTS, metrics, env: { ...recording, ...env } });
  return lab;
}

/** Addresses of a lab's connections: those that were tried, and those that programs listen on. */
function connectionsOf(lab: Lab): { readonly tried: Set<string>; readonly own: Set<string> } {
  const lines = readFileSync(lab.path("connections"), "utf8").trim().split("\n");
  const behind = (word: string): Set<string> =>
    new Set(lines.filter((line) => line.startsWith(word)).map((line) => line.slice(word.length)));
  return { tried: behind("to "), own: behind("on ") };
}

/** Waits until a trace has all its spans, and checks how they hang together. */
async function assertTrace(traceId: string, expected: Trace): Promise<readonly ReceivedSpan[]> {
  const spans = await until(`${expected.length} spans of trace ${traceId}`, () => {
    const sent = collector.spans.filter((span) => span.traceId === traceId);
    return sent.length >= expected.length && sent;
  });
  const above = new Map(spans.map(({ spanId, name }) => [spanId, name]));
  const described = spans.map(({ program, name, parentSpanId }) => {
    const isTop = parentSpanId === "" || parentSpanId === CALLER.spanId;
    const parent = isTop ? "" : (above.get(parentSpanId) ?? "a span that was not sent");
    return `${program.replace("millrace-", "")} ${name} below ${parent}`;
  });
  assert.deepEqual(
    described.sort(),
    expected.map(([program, name, parent]) => `${program} ${name} below ${parent}`).sort(),
  );
  return spans;
}

test("one ship is one trace, from submit to every machine", async (context) => {
  const lab = await startLab(
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      MILLRACE_AGENT_TRACE_RATIO: "1",
    },
    false,
  );
  const repository = lab.repository("hooked");
  const files = hookSample({ service: "hooked", version: "1" });

  await context.test("all its spans, linked up to the root", async () => {
    const ship = await lab.ship(repository, files);
    assert.equal(ship.rollout?.state, "succeeded", JSON.stringify(ship));
    const first = await until("the first span", () => collector.spans[0]);
    const spans = await assertTrace(first.traceId, SHIP);
    const traces = new Set(collector.spans.map(({ traceId }) => traceId));
    assert.equal(traces.size, 1);
    const attempt = spans.find(({ name }) => name === "build.attempt")?.attributes ?? {};
    assert.equal(attempt["cicd.pipeline.run.id"], ship.build?.id);
    assert.equal(attempt["vcs.ref.head.revision"], ship.sha);
  });

  await context.test("below the span of a caller that has one", async () => {
    const { traceId, spanId } = CALLER;
    await build(lab, repository.path, `00-${traceId}-${spanId}-01`);
    const spans = await assertTrace(traceId, BUILD);
    const root = spans.find(({ name }) => name === "build.submit");
    assert.equal(root?.parentSpanId, spanId);
  });

  await context.test("of its own where the caller's context is nonsense", async () => {
    const before = new Set(collector.spans.map(({ traceId }) => traceId));
    await build(lab, repository.path, `00-${"x".repeat(4_000)}-01`);
    const root = await until("a new root", () =>
      collector.spans.find(({ name, traceId }) => name === "build.submit" && !before.has(traceId)),
    );
    assert.equal(root.parentSpanId, "");
    await assertTrace(root.traceId, BUILD);
  });

  assert.ok(connectionsOf(lab).tried.has(`127.0.0.1:${collector.port}`), "the recorder sees it");
});

/** Builds anew, as a client with a trace context does it, and waits for the build's end. */
async function build(lab: Lab, repository: string, traceparent: string): Promise<void> {
  const builds = connect(BuildServiceClient, lab.system.address);
  const metadata = new Metadata();
  metadata.set("traceparent", traceparent);
  const about = { recipe: "", service: "", requester: "", overallTimeoutMs: 0 };
  const request = { repository, ref: "HEAD", rebuild: true, ship: undefined, ...about };
  const { build: submitted } = await call(builds, builds.submitBuild, request, { metadata });
  const id = submitted?.id ?? "";
  await until("the end of the build", async () => {
    const answer = await call(builds, builds.getBuild, { id });
    return answer.build?.state === BuildState.BUILD_STATE_SUCCEEDED;
  });
  builds.close();
}

/** What each program measures at least, after a ship: metric, labels, and what its value must be. */
const METRICS: Readonly<
  Record<string, readonly (readonly [RegExp, (value: number) => boolean])[]>
> = {
  controlplane: [
    [/^millrace_builds_ended_total\{state="succeeded"\}$/, (value) => value === 1],
    [/^cicd_pipeline_run_active\{.*="pending"\}$/, (value) => value === 0],
    [/^cicd_pipeline_run_duration_count\{.*="executing".*="success"\}$/, (value) => value === 1],
    [/^cicd_worker_count\{.*="available"\}$/, (value) => value === 1],
    [/^millrace_rollouts_ended_total\{.*state="succeeded".*\}$/, (value) => value === 1],
    [/^millrace_rollout_duration_sum\{/, (value) => value > 0],
    [/^millrace_agents\{region="eu-west"\}$/, (value) => value === AGENTS],
    [/^millrace_relays\{state="online"\}$/, (value) => value === 1],
    [/^millrace_epoch$/, (value) => value === 1],
  ],
  "worker-1": [
    [/^millrace_worker_attempts_total\{end="release"\}$/, (value) => value === 1],
    [/^millrace_worker_output_total$/, (value) => value > 0],
    [/^millrace_worker_packed_total$/, (value) => value > 0],
  ],
  "relay-eu-west-1": [
    [/^millrace_relay_agents$/, (value) => value === AGENTS],
    [/^millrace_relay_mirrored_total$/, (value) => value > 0],
    [/^millrace_relay_packs$/, (value) => value === 1],
    [/^millrace_swarm_sent_total$/, (value) => value > 0],
    [/^millrace_relay_refused_total$/, (value) => value === 0],
  ],
  "agent-eu-west-1": [
    [/^millrace_agent_connected$/, (value) => value === 1],
    [/^millrace_agent_services\{phase="active"\}$/, (value) => value === 1],
    [/^millrace_agent_switches_total\{outcome="\w+"\}$/, (value) => value === 1],
    [/^millrace_agent_staged_total\{source="relay"\}$/, (value) => value >= 0],
    [/^millrace_swarm_received_total\{source="relay"\}$/, (value) => value >= 0],
    [/^millrace_swarm_received_total\{source="peer"\}$/, (value) => value >= 0],
  ],
};

test("with nothing configured no program connects to anything but the system", async (context) => {
  const lab = await startLab({}, true);
  const files = hookSample({ service: "hooked", version: "1" });
  const ship = await lab.ship(lab.repository("hooked"), files);
  assert.equal(ship.rollout?.state, "succeeded", JSON.stringify(ship));

  for (const [program, expected] of Object.entries(METRICS)) {
    await context.test(`${program} serves its metrics`, async () => {
      const port = lab.system.metrics[program];
      assert.ok(port !== undefined, `up says where ${program} serves them`);
      for (const [pattern, holds] of expected) {
        const what = `${program} ${pattern}`;
        await until(what, async () => holds((await read(port, pattern)) ?? Number.NaN));
      }
    });
  }

  const { tried, own } = connectionsOf(lab);
  // Of a small pack a machine may have all before it knows another machine.
  assert.ok(tried.size >= 3, "the control plane, the relay and its pieces are connected to");
  assert.deepEqual([...tried.difference(own)], []);
});

/** Value of the first metric that matches. */
async function read(port: number, pattern: RegExp): Promise<number | undefined> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const line = text.split("\n").find((one) => pattern.test(one.slice(0, one.lastIndexOf(" "))));
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ") + 1));
}
