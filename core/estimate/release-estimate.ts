// When a rollout would end: its regions fetch at once, each on its way of packs over the WAN and through
// the swarm, and then its waves go. Used by a plan, which feeds it with the fleet as it is, and by the
// simulator, which stands in for a day's swarms with it. It promises nothing.
import type { RolloutPlan } from "../rollout/rollout-row.ts";
import { type FetchTime, fetchTime, type RegionShape } from "./fetch-time.ts";
import { type SwitchTimes, type WaveTime, waveTimes } from "./wave-time.ts";

/** From request to the last machine: what the whole system is sized for. */
export const SLO_MS = 30 * 60_000;
/** Files are put together at least at so many bytes a millisecond: a SATA SSD that is written once. */
const STAGE_RATE = 400_000;
/** Machines that answer need so much of what they may take; nobody tells before they do. */
const ANSWER_SHARE = 1 / 6;
/** A process that nothing asks counts once it has stayed up so long; a hook is taken for as quick. */
const UNASKED_MS = 1_000;
/** A region that holds everything is heard of in its relays' next report. */
const REPORT_MS = 1_000;
/** A wave of more rounds than this is slow by its policy, whatever machines do: at 5 s each they take 2.5 min. */
const ROUNDS_MANY = 30;

/** A release as its way sees it. */
export interface ReleaseShape {
  readonly plan: RolloutPlan;
  /** Cumulative, as a plan shows them. */
  readonly waveSizes: readonly number[];
  /** Plain bytes of the release: what each machine puts together. */
  readonly releaseBytes: number;
  /** Longest time to become healthy, milliseconds; undefined: nothing is asked for its health. */
  readonly withinMs: number | undefined;
  readonly regions: readonly RegionShape[];
}

/** Milliseconds from the beginning. */
export interface ReleaseEstimate {
  /** Every region holds every pack. */
  readonly replicatedMs: number;
  /** The last machine has it on its disk, put together. */
  readonly stagedMs: number;
  /** The last machine runs it, where machines take the usual part of their time to become healthy. */
  readonly endMs: number;
  /** The same where each takes all of it. */
  readonly latestMs: number;
  readonly regions: readonly FetchTime[];
  readonly waves: readonly WaveTime[];
}

/** Estimates a rollout that would start now. */
export function estimateRelease(shape: ReleaseShape): ReleaseEstimate {
  const { plan, waveSizes, withinMs } = shape;
  const regions = shape.regions.map(fetchTime);
  const replicatedMs = REPORT_MS + most(regions.map(({ replicatedMs }) => replicatedMs));
  const stageMs = shape.releaseBytes / STAGE_RATE;
  const stagedMs = stageMs + most(regions.map(({ fetchedMs }) => fetchedMs));
  const matching = shape.regions.reduce((sum, { machines }) => sum + machines, 0);
  const begunMs = Math.max(replicatedMs, stagedMs);
  const times = (switches: SwitchTimes) => waveTimes(plan, waveSizes, matching, switches);
  const mostMs = withinMs ?? UNASKED_MS;
  const meanMs = withinMs === undefined ? UNASKED_MS : withinMs * ANSWER_SHARE;
  const waves = times({ meanMs, mostMs });
  const latest = times({ meanMs: mostMs, mostMs });
  return {
    replicatedMs,
    stagedMs,
    endMs: begunMs + lengthOf(waves),
    latestMs: begunMs + lengthOf(latest),
    regions,
    waves,
  };
}

/** What makes a rollout slow and is hardly meant, a sentence each. */
export function slowness({ endMs, waves }: ReleaseEstimate, plan: RolloutPlan): string[] {
  if (endMs <= SLO_MS) return [];
  const slow = waves.filter(({ rounds }) => rounds > ROUNDS_MANY);
  if (slow.length === 0) return [];
  const worst = slow.reduce((one, other) => (other.switchingMs > one.switchingMs ? other : one));
  const { rounds, together, machines } = worst;
  return [
    `a wave of ${machines} machines lets ${together} be out at once, so they switch in ${rounds} rounds; ` +
      `failures: ${plan.failuresPercent}% and maxUnavailable bound that: more of the smaller one makes it faster`,
  ];
}

function lengthOf(waves: readonly WaveTime[]): number {
  return waves.reduce((sum, { switchingMs, bakeMs }) => sum + switchingMs + bakeMs, 0);
}

function most(numbers: readonly number[]): number {
  return Math.max(0, ...numbers);
}
