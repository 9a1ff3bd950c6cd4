// A rollout's policy as it is asked for, made whole and checked: every limit by name, value and bound.
import type { RolloutPolicy, WavePolicy } from "../../proto/gen/millrace/v1/release_format.ts";
import { invalid } from "../../runtime/grpc/rpc-error.ts";

/** Waves of one rollout: each takes a report or two, and their rules ride in every assignment. */
const WAVES_MAX = 32;
/** Labels of a rule: as many as an agent has. */
const LABELS_MAX = 64;
/** Time to watch a wave: a day. */
const BAKE_MS_MAX = 24 * 3600_000;
const REGIONS_MAX = 64;

/** The policy with its defaults filled in; throws INVALID_ARGUMENT where it breaks a limit. */
export function checkedPolicy(policy: RolloutPolicy | undefined): RolloutPolicy {
  const { waves = [], targets = {}, sampleMin = 0, urgent = false } = policy ?? {};
  const { failuresPercent = 0, maxUnavailablePercent = 0 } = policy ?? {};
  if (waves.length > WAVES_MAX) throw invalid(`waves: ${waves.length}, at most ${WAVES_MAX}`);
  checkPercent("failures_percent", failuresPercent);
  checkPercent("max_unavailable_percent", maxUnavailablePercent);
  checkLabels("targets", targets);
  for (const [index, { percent, labels, regions, bakeMs }] of waves.entries()) {
    const where = `waves[${index}]`;
    if (percent === 0) throw invalid(`${where}.percent is 0, expected more than 0, at most 100`);
    checkPercent(`${where}.percent`, percent);
    checkLabels(`${where}.labels`, labels);
    checkRegions(`${where}.regions`, regions);
    if (bakeMs > BAKE_MS_MAX) throw invalid(`${where}.bake_ms ${bakeMs}: at most ${BAKE_MS_MAX}`);
  }
  // Whoever succeeds is for everybody: a last wave takes in those that the others left out.
  const everybody = { percent: 100, regions: [], labels: {}, bakeMs: 0 };
  const isForAll = waves.slice(-1).some(isForEverybody);
  return {
    waves: isForAll ? [...waves] : [...waves, everybody],
    failuresPercent,
    maxUnavailablePercent,
    targets,
    sampleMin,
    urgent,
  };
}

/** Throws INVALID_ARGUMENT where there are too many regions or one has no name. */
export function checkRegions(field: string, regions: readonly string[]): void {
  if (regions.length > REGIONS_MAX) {
    throw invalid(`${field}: ${regions.length} regions, at most ${REGIONS_MAX}`);
  }
  if (regions.includes("")) throw invalid(`${field}: a region has no name`);
}

function isForEverybody({ percent, regions, labels }: WavePolicy): boolean {
  return percent === 100 && regions.length === 0 && Object.keys(labels).length === 0;
}

function checkPercent(field: string, percent: number): void {
  if (!(percent >= 0 && percent <= 100)) {
    throw invalid(`${field} is ${percent}, expected 0 to 100`);
  }
}

function checkLabels(field: string, labels: { readonly [name: string]: string }): void {
  const count = Object.keys(labels).length;
  if (count > LABELS_MAX) throw invalid(`${field}: ${count} labels, at most ${LABELS_MAX}`);
}
