// How long the waves of a rollout take once every machine has the release: who may be out at once makes
// rounds, and each wave costs its drawing, its reports and its time to be watched. Sizes and budgets are
// those of `core/rollout/bounds.ts`, by which the rollout itself decides.
import { outMax } from "../rollout/bounds.ts";
import type { RolloutPlan } from "../rollout/rollout-row.ts";

/** An answer is heard by the relay, and the next permit kept and sent. */
const HAND_ON_MS = 20;
/**
 * Around a wave: written down, drawn by a round or two of questions, announced, counted in the next reports of all relays,
 * granted; and in the end its last answer waits for a report. Reports come once a second, those that a wave waits for sooner.
 */
const WAVE_MS = 2_000;

/** How long machines take from the beginning of a switch to its answer, milliseconds. */
export interface SwitchTimes {
  readonly meanMs: number;
  /** The slowest that is waited for. */
  readonly mostMs: number;
}

/** One wave's part in the rollout. */
export interface WaveTime {
  /** Machines that it permits. */
  readonly machines: number;
  /** Of these so many may be out at once. */
  readonly together: number;
  /** Machines one after the other. */
  readonly rounds: number;
  readonly switchingMs: number;
  readonly bakeMs: number;
}

/**
 * The waves of a plan. `sizes` are cumulative, as a plan shows them; `matching` are all machines of the
 * rollout that are online.
 */
export function waveTimes(
  plan: RolloutPlan,
  sizes: readonly number[],
  matching: number,
  switches: SwitchTimes,
): WaveTime[] {
  let before = 0;
  return plan.waves.map(({ bakeMs }, index) => {
    const size = sizes[index] ?? 0;
    const machines = Math.max(0, size - before);
    before = Math.max(before, size);
    const together = outMax(plan, machines, matching);
    const rounds = Math.ceil(machines / together);
    if (size === 0) return { machines, together, rounds, switchingMs: 0, bakeMs: 0 };
    return {
      machines,
      together,
      rounds,
      switchingMs: WAVE_MS + servedMs(machines, together, switches),
      bakeMs,
    };
  });
}

/** Places are taken again as they come free, so the mean counts, and at the end whoever is the slowest. */
function servedMs(machines: number, together: number, { meanMs, mostMs }: SwitchTimes): number {
  if (machines === 0) return 0;
  return Math.max(0, machines / together - 1) * (meanMs + HAND_ON_MS) + mostMs;
}
