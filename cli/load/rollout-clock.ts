// How long a rollout takes to be acknowledged: from the command until the leader has counted so and so many machines
// as switched, each of which has had its permit. A follower of a rollout hears twice a second.
import { randomUUID } from "node:crypto";
import type { RolloutPolicy } from "../../proto/gen/millrace/v1/release_format.ts";
import type { Rollout } from "../../proto/gen/millrace/v1/rollouts.ts";
import { call } from "../../runtime/grpc/client.ts";
import { totalsOf } from "../output/describe.ts";
import type { Progress } from "../output/progress.ts";
import type { ControlPlane } from "../remote/control-plane.ts";
import { followRollout } from "../ship/ship-flow.ts";

/** Seconds from the command; a share that was not reached is missing. */
export interface Acknowledged {
  readonly rollout: Rollout;
  readonly seconds: ReadonlyMap<number, number>;
}

export interface RolloutClockOptions {
  readonly plane: ControlPlane;
  readonly sha: string;
  readonly policy: RolloutPolicy;
  /** Machines that it is for, and shares of them to take the time of. */
  readonly machines: number;
  readonly shares: readonly number[];
  readonly onState?: (rollout: Rollout, active: number) => void;
  readonly signal: AbortSignal;
}

/** Rolls a release out and follows it to its end. */
export async function clockRollout(options: RolloutClockOptions): Promise<Acknowledged> {
  const { plane, sha, policy, machines, shares, onState, signal } = options;
  const startedAt = performance.now();
  const { rollout } = await call(plane.rollouts, plane.rollouts.startRollout, {
    ...{
      service: "load",
      release: sha,
      policy,
      excludedRegions: [],
      supersede: false,
      urgent: false,
    },
    ...{ revision: 0, idempotencyKey: randomUUID() },
  });
  if (rollout === undefined) throw new Error("the answer to a start has no rollout");
  const seconds = new Map<number, number>();
  const onRollout = (state: Rollout): void => {
    const { active } = totalsOf(state);
    for (const share of shares) {
      if (seconds.has(share) || active < Math.ceil(share * machines)) continue;
      seconds.set(share, (performance.now() - startedAt) / 1_000);
    }
    onState?.(state, active);
  };
  const ended = await followRollout(plane, rollout.id, progressOf(onRollout), signal);
  return { rollout: ended, seconds };
}

function progressOf(onRollout: (rollout: Rollout) => void): Progress {
  return { build: () => {}, rollout: onRollout, say: () => {}, end: () => {} };
}
