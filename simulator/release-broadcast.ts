// One release to a whole fleet at the level of pieces: regions in lock-step windows of the relays' report
// interval on several threads, and the origin that they share. The same seed gives the same trace whatever
// the number of threads. It decides nothing.
import type { Instant } from "../core/machine.ts";
import {
  piecesOfSegment,
  type RegionOrder,
  type RegionReport,
  type RegionResult,
} from "./region-broadcast.ts";
import { type BoundTerms, boundTerms, type ReleasePlan, rateOf } from "./release-plan.ts";
import { ShardThreads } from "./shard-threads.ts";
import { TraceHash } from "./trace-hash.ts";

/** Relays report, and hear of the origin, so often. */
const WINDOW_MS = 1_000;
/** A run that takes so many times the bound has failed. */
const RATIO_MAX = 20;

export interface ReleaseOptions {
  /** Threads at most. */
  readonly workers: number;
  /** Hears of each window. */
  readonly onProgress?: (progress: ReleaseProgress) => void;
  /** Ends it: the promise is rejected. */
  readonly signal?: AbortSignal;
}

export interface ReleaseProgress {
  readonly now: Instant;
  /** Agents that have the whole release. */
  readonly wholeAgents: number;
  readonly transfers: number;
}

export interface ReleaseResult {
  readonly boundMs: number;
  readonly terms: BoundTerms;
  /** When the last byte was at the origin. */
  readonly packedMs: Instant;
  /** When the last agent had the whole release; Infinity: some never had. */
  readonly lastMs: Instant;
  /** From the last byte packed to the last agent, over the bound; headers count as time. */
  readonly ratio: number;
  readonly transfers: number;
  readonly regions: readonly RegionResult[];
  readonly trace: string;
}

/** Runs it until every agent has the release, or it takes too long. */
export async function releaseBroadcast(
  plan: ReleasePlan,
  { workers, onProgress, signal }: ReleaseOptions,
): Promise<ReleaseResult> {
  const terms = boundTerms(plan);
  const boundMs = Math.max(...Object.values(terms));
  const packedMs = (plan.pieces * plan.pieceBytes) / rateOf(plan.packMbit);
  const untilMs = packedMs + RATIO_MAX * boundMs;
  const trace = new TraceHash();
  const threads = new ShardThreads(plan, workers, signal);
  try {
    let reports: readonly RegionReport[] = [];
    for (let from = 0; from < untilMs && !isOver(reports); from += WINDOW_MS) {
      reports = await threads.run(ordersOf(plan, from, reports));
      for (const { at, region, transfers } of reports) trace.noteNumbers([at, region, transfers]);
      onProgress?.(progressOf(reports));
    }
    const regions = await threads.end();
    for (const region of regions) trace.noteText(region.trace);
    const lastMs = regions.reduce((last, { wholeMs }) => Math.max(last, latest(wholeMs)), 0);
    const transfers = sumOf(regions.map((region) => region.transfers));
    const ratio = (lastMs - packedMs) / boundMs;
    return { boundMs, terms, packedMs, lastMs, ratio, transfers, regions, trace: trace.text };
  } finally {
    await threads.close();
  }
}

/** What each region hears of the origin; regions that pulled in the last window share what it gives. */
function ordersOf(
  plan: ReleasePlan,
  from: Instant,
  reports: readonly RegionReport[],
): RegionOrder[] {
  const { regions, pieces, pieceBytes } = plan;
  const segmentPieces = piecesOfSegment(plan);
  const packed = Math.floor((from * rateOf(plan.packMbit)) / pieceBytes);
  const isSealed = plan.packMbit === Number.POSITIVE_INFINITY || packed >= pieces;
  const segments = isSealed
    ? Math.ceil(pieces / segmentPieces)
    : Math.floor(packed / segmentPieces);
  const pulling = reports.filter(({ isPulling }) => isPulling).length;
  const share = rateOf(plan.originMbit) / (pulling === 0 ? regions : pulling);
  const wanRate = Math.min(rateOf(plan.wanMbit), share);
  const order = { from, until: from + WINDOW_MS, segments, isSealed, wanRate };
  return Array.from({ length: regions }, () => order);
}

function isOver(reports: readonly RegionReport[]): boolean {
  return reports.length > 0 && reports.every(({ isWhole }) => isWhole);
}

function progressOf(reports: readonly RegionReport[]): ReleaseProgress {
  return {
    now: reports[0]?.at ?? 0,
    wholeAgents: sumOf(reports.map(({ wholeAgents }) => wholeAgents)),
    transfers: sumOf(reports.map(({ transfers }) => transfers)),
  };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function latest(instants: Float64Array): Instant {
  return instants.reduce((last, one) => Math.max(last, one), 0);
}
