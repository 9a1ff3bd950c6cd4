// Parts of a fleet as its scenario has them: how its rollouts go, and which services its machines run.
import type { RolloutPlan } from "../../core/rollout/rollout-row.ts";
import type { Random } from "../../core/swarm/random.ts";
import type { Scenario } from "../scenario.ts";
import { logNormal95 } from "./chance.ts";

/** Beside health: draining and the way of the answer, as the control plane allows. */
const ANSWER_GRACE_MS = 20_000;
/** Services are of different sizes: one of twenty has four times the machines of the median. */
const SERVICE_SIZE_P95 = 4;

/** The rollout of a service's release. */
export function planOf({ rollout, health }: Scenario, id: string, service: string): RolloutPlan {
  return {
    id,
    waves: rollout.waves.map(({ percent, bake_s }) => ({
      ...{ percent, regions: [], labels: {}, bakeMs: bake_s * 1_000 },
    })),
    failuresPercent: rollout.failures_percent,
    maxUnavailablePercent: rollout.max_unavailable_percent,
    sampleMin: 0,
    targets: { service },
    excludedRegions: [],
    answerMs: health.within_s * 1_000 + ANSWER_GRACE_MS,
    hasFallback: true,
  };
}

/** Names of services, large ones more often. */
export function servicePicker(random: Random, services: number): () => string {
  let sum = 0;
  const ends = Array.from({ length: services }, () => {
    sum += services === 1 ? 1 : logNormal95(random, 1, SERVICE_SIZE_P95);
    return sum;
  });
  return () => {
    const at = random() * sum;
    return `service-${ends.findIndex((end) => at <= end) + 1}`;
  };
}
