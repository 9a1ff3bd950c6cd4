// Traces and metrics of a program, by OpenTelemetry. Nothing leaves the machine unless it is configured:
// spans go out where OTEL_EXPORTER_OTLP_ENDPOINT is set, metrics are served where a port is given.
// The SDKs are loaded only then (they cost 100 ms and 20 MB, and there is an agent on every machine).
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Metadata } from "@grpc/grpc-js";
import {
  type Attributes,
  type Context,
  type Counter,
  context,
  type Histogram,
  isSpanContextValid,
  metrics,
  type ObservableResult,
  ROOT_CONTEXT,
  type Span,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import type { Health } from "./program/health.ts";
import { healthPage } from "./program/health-page.ts";
import { VERSION } from "./version.ts";

const SCOPE = "millrace";

/** Share of agents that record spans, by default: 100,000 agents, 1,000 of them traced. */
const AGENT_SAMPLE_RATIO = 0.01;

/** How long spans wait to go out together; one that a kill takes along is missing in its trace. */
const SPANS_DELAY_MS = 1_000;

export interface TelemetryOptions {
  /** Program's name, becomes `service.name` "millrace-<program>". */
  readonly program: string;
  /** Serves Prometheus metrics on this loopback port; 0: a free one; absent: not at all. */
  readonly metricsPort?: number;
  /** Told beside the metrics, at /livez and /readyz. */
  readonly health: Health;
  readonly attributes?: Attributes;
}

export interface Telemetry {
  /** Where metrics are served; undefined: nowhere. */
  readonly metricsPort: number | undefined;
  /** Sends what is still waiting, then ends. */
  stop(): Promise<void>;
}

/** Starts what is configured. Only a program's main calls it, before it creates instruments. */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const attributes = {
    "service.name": `millrace-${options.program}`,
    "service.version": VERSION,
    ...options.attributes,
  };
  const stops: (() => Promise<void>)[] = [];
  if (isOtlpConfigured()) stops.push(await startTraces(options.program, attributes));
  let metricsPort: number | undefined;
  if (options.metricsPort !== undefined) {
    const served = await startMetrics(options.metricsPort, options.health, attributes);
    metricsPort = served.port;
    stops.push(served.stop);
  }
  return { metricsPort, stop: async () => void (await Promise.all(stops.map((stop) => stop()))) };
}

/** A new W3C trace context, sampled. */
function newTraceparent(): string {
  return `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`;
}

/** W3C trace context of a span, to ride in a command. */
export function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
}

/**
 * Runs a request as a span below the caller's, where it brought one, else as the first of a new trace;
 * hands `work` the context for what follows from it, which is valid also where nobody records.
 */
export function inRequestSpan<Result>(
  name: string,
  metadata: Metadata,
  work: (traceparent: string, span: Span) => Promise<Result>,
): Promise<Result> {
  const parent = metadata.get("traceparent")[0]?.toString();
  return inSpan(name, { parent }, (span) => {
    const own = isSpanContextValid(span.spanContext()) ? traceparentOf(span) : newTraceparent();
    return work(own, span);
  });
}

export interface SpanOptions {
  /** W3C trace context of the span above; absent or malformed: a new trace. */
  readonly parent?: string | undefined;
  readonly attributes?: Attributes;
}

/** Runs `work` inside a span that ends with it, marked failed where it throws. */
export async function inSpan<Result>(
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<Result>,
): Promise<Result> {
  const span = openSpan(name, options);
  try {
    return await work(span);
  } catch (error) {
    span.recordException(error as Error);
    span.setStatus({ code: SpanStatusCode.ERROR, message: String(error) });
    throw error;
  } finally {
    span.end();
  }
}

/** Opens a span that the caller ends. */
export function openSpan(name: string, options: SpanOptions): Span {
  const parent = contextOf(options.parent);
  return trace
    .getTracer(SCOPE, VERSION)
    .startSpan(name, { attributes: options.attributes ?? {} }, parent);
}

/** A counter of this program; `unit` as in UCUM ("By", "s", "{build}"). */
export function counter(name: string, description: string, unit = "1"): Counter {
  return metrics.getMeter(SCOPE, VERSION).createCounter(name, { description, unit });
}

/** A histogram of this program. */
export function histogram(name: string, description: string, unit = "s"): Histogram {
  return metrics.getMeter(SCOPE, VERSION).createHistogram(name, { description, unit });
}

/** One value, or one for each set of attributes. */
export type Readings = number | readonly (readonly [value: number, attributes: Attributes])[];

/** A gauge that is read whenever metrics are collected. */
export function gauge(name: string, description: string, read: () => Readings, unit = "1"): void {
  metrics
    .getMeter(SCOPE, VERSION)
    .createObservableGauge(name, { description, unit })
    .addCallback((result) => observe(result, read()));
}

/** A sum that only grows and is kept elsewhere; read whenever metrics are collected. */
export function total(name: string, description: string, read: () => Readings, unit = "1"): void {
  metrics
    .getMeter(SCOPE, VERSION)
    .createObservableCounter(name, { description, unit })
    .addCallback((result) => observe(result, read()));
}

function observe(result: ObservableResult, readings: Readings): void {
  if (typeof readings === "number") result.observe(readings);
  else for (const [value, attributes] of readings) result.observe(value, attributes);
}

function contextOf(traceparent: string | undefined): Context {
  const match = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent ?? "");
  if (match === null) return context.active();
  const [, traceId, spanId, flags] = match as unknown as [string, string, string, string];
  const isSampled = (Number.parseInt(flags, 16) & TraceFlags.SAMPLED) !== 0;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    isRemote: true,
  });
}

function isOtlpConfigured(): boolean {
  const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT } = process.env;
  return Boolean(OTEL_EXPORTER_OTLP_ENDPOINT ?? OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
}

/** Whether this process is one of the agents that record spans; the share is set by environment. */
function isTracedAgent(): boolean {
  const ratio = Number(process.env["MILLRACE_AGENT_TRACE_RATIO"] ?? AGENT_SAMPLE_RATIO);
  return randomBytes(4).readUInt32LE() < ratio * 2 ** 32;
}

async function startTraces(program: string, attributes: Attributes): Promise<() => Promise<void>> {
  if (program === "agent" && !isTracedAgent()) return async () => {};
  const { BatchSpanProcessor, ParentBasedSampler, AlwaysOnSampler, TracerProvider } = await import(
    "@opentelemetry/sdk-trace"
  );
  const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-http");
  const { resourceFromAttributes } = await import("@opentelemetry/resources");
  const provider = new TracerProvider({
    resource: resourceFromAttributes(attributes),
    sampler: new ParentBasedSampler({ root: new AlwaysOnSampler() }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter(),
        scheduledDelayMillis: SPANS_DELAY_MS,
      }),
    ],
  });
  trace.setGlobalTracerProvider(provider);
  return () => provider.shutdown();
}

async function startMetrics(
  port: number,
  health: Health,
  attributes: Attributes,
): Promise<{ port: number; stop: () => Promise<void> }> {
  const { MeterProvider } = await import("@opentelemetry/sdk-metrics");
  const { PrometheusExporter } = await import("@opentelemetry/exporter-prometheus");
  const { resourceFromAttributes } = await import("@opentelemetry/resources");
  const exporter = new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true });
  const provider = new MeterProvider({
    resource: resourceFromAttributes(attributes),
    readers: [exporter],
  });
  metrics.setGlobalMeterProvider(provider);
  // Our own server: the exporter's takes port 0 for its default instead of a free one.
  const server = createServer((request, response) => {
    const page = healthPage(health, request.url ?? "");
    if (page === undefined) exporter.getMetricsRequestHandler(request, response);
    else response.writeHead(page.status, { "content-type": "text/plain" }).end(page.text);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const stop = async (): Promise<void> => {
    server.close();
    server.closeAllConnections();
    await provider.shutdown();
  };
  return { port: (server.address() as AddressInfo).port, stop };
}
