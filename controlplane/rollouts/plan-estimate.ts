// What the estimate of a plan is fed with: the fleet as its relays tell of it, the packs that a region and
// its machines lack, and what wires are taken to carry. The arithmetic is core's.
import type { RegionShape } from "../../core/estimate/fetch-time.ts";
import {
  estimateRelease,
  type ReleaseEstimate,
  SLO_MS,
  slowness,
} from "../../core/estimate/release-estimate.ts";
import type { Release } from "../../proto/gen/millrace/v1/release_format.ts";
import type {
  FleetRates,
  RegionProgress,
  RolloutEstimate,
} from "../../proto/gen/millrace/v1/rollouts.ts";
import { planOf, type RolloutRecord, withinMsOf } from "./rollout-record.ts";

/** Where nobody says other: 1 Gbit/s a machine, 10 a relay and 10 into a region, as millrace is sized for. */
const RATES = { machine: 125_000_000, relay: 1_250_000_000, wan: 1_250_000_000 };
const MS_PER_S = 1_000;

/** A plan's facts. */
export interface PlannedFleet {
  /** The rollout as it would be written down. */
  readonly record: RolloutRecord;
  readonly regions: readonly RegionProgress[];
  /** Relays that are connected, by region. */
  readonly relays: ReadonlyMap<string, number>;
  /** Cumulative. */
  readonly waveSizes: readonly number[];
  readonly rates: FleetRates | undefined;
}

/** The estimate, and what makes it slow; undefined where no machine matches. */
export function estimatePlan(
  fleet: PlannedFleet,
): { readonly estimate: RolloutEstimate; readonly warnings: readonly string[] } | undefined {
  const { record, waveSizes } = fleet;
  const rates = ratesOf(fleet.rates);
  const regions = fleet.regions
    .filter(({ excluded, matching }) => !excluded && matching > 0)
    .map((region) => shapeOf(region, fleet, rates));
  if (regions.length === 0) return undefined;
  const plan = planOf(record);
  const estimate = estimateRelease({
    plan,
    waveSizes,
    releaseBytes: record.release.bytes,
    withinMs: hasCheck(record.release) ? withinMsOf(record.release) : undefined,
    regions,
  });
  return { estimate: toWire(estimate, regions, rates), warnings: slowness(estimate, plan) };
}

function ratesOf(asked: FleetRates | undefined): FleetRates {
  const machine = asked?.machine || RATES.machine;
  return {
    machine,
    machineUp: asked?.machineUp || machine,
    relay: asked?.relay || RATES.relay,
    wan: asked?.wan || RATES.wan,
  };
}

function shapeOf(
  { region, matching, neededBytes, replicatedBytes }: RegionProgress,
  { record, relays }: PlannedFleet,
  rates: FleetRates,
): RegionShape {
  const { release, previous } = record;
  const lacking = lackingPacks(release, previous);
  return {
    region,
    machines: matching,
    replicateBytes: Math.max(0, neededBytes - replicatedBytes),
    fetchBytes: lacking.reduce((sum, { bytes }) => sum + bytes, 0),
    pieceBytes: Math.max(0, ...lacking.map(({ bytes, pieces }) => bytes / Math.max(1, pieces))),
    wanRate: rates.wan / MS_PER_S,
    relayRate: ((relays.get(region) ?? 1) * rates.relay) / MS_PER_S,
    upRates: (matching * rates.machineUp) / MS_PER_S,
    downRateMin: rates.machine / MS_PER_S,
  };
}

function hasCheck({ activation }: Release): boolean {
  const { http = "", command = [] } = activation?.health ?? {};
  return http !== "" || command.length > 0;
}

/** Packs of which a machine that runs the previous release has nothing on its disk. */
function lackingPacks(release: Release, previous: Release | undefined) {
  const held = new Set(previous?.layout?.packs.map(({ pack }) => pack));
  return (release.layout?.packs ?? []).filter(({ pack }) => !held.has(pack));
}

function toWire(
  estimate: ReleaseEstimate,
  shapes: readonly RegionShape[],
  rates: FleetRates,
): RolloutEstimate {
  const { replicatedMs, stagedMs, endMs, latestMs } = estimate;
  return {
    replicatedMs: Math.round(replicatedMs),
    stagedMs: Math.round(stagedMs),
    endMs: Math.round(endMs),
    latestMs: Math.round(latestMs),
    sloMs: SLO_MS,
    meetsSlo: endMs <= SLO_MS,
    waves: estimate.waves.map((wave) => ({ ...wave, switchingMs: Math.round(wave.switchingMs) })),
    regions: estimate.regions.map((region, index) => {
      const { region: name, replicateBytes, fetchBytes } = shapes[index] as RegionShape;
      return {
        region: name,
        replicateBytes: Math.round(replicateBytes),
        fetchBytes: Math.round(fetchBytes),
        replicatedMs: Math.round(region.replicatedMs),
        fetchedMs: Math.round(region.fetchedMs),
        boundMs: Math.round(region.boundMs),
      };
    }),
    rates,
  };
}
