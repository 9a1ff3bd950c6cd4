// What became of each request, when it passed each phase of its way, and what it waited for. It decides nothing.
import { PHASES, type Phase } from "../../core/estimate/simulation-run.ts";
import type { Instant } from "../../core/machine.ts";
import type { Distribution } from "./flow-region.ts";

/** `fault`: an infrastructure fault ended it. `own`: its command failed or took too long. */
export type Outcome = "right" | "fault" | "own" | "open";

/** How a release came to its machines, over what no way of bringing all of it can beat. */
export interface OverBound extends Distribution {
  /** From its last byte packed. */
  readonly ratio: number;
  /** From its first byte packed; where packing takes longer than the bound, over that. */
  readonly wholeRatio: number;
}

export interface Request {
  readonly id: string;
  readonly service: string;
  readonly requestedAt: Instant;
  leasedAt: Instant | undefined;
  builtAt: Instant | undefined;
  packedAt: Instant | undefined;
  replicatedAt: Instant | undefined;
  /** The last machine had it on its disk before it was let switch. */
  stagedAt: Instant | undefined;
  /** The last machine that became active on it before its rollout had ended. */
  activeAt: Instant | undefined;
  endedAt: Instant | undefined;
  outcome: Outcome;
  reason: string;
  /** What held it up. */
  readonly causes: Set<string>;
  machines: number;
  active: number;
  distribution: OverBound | undefined;
}

export function newRequest(id: string, service: string, requestedAt: Instant): Request {
  return {
    ...{ id, service, requestedAt, leasedAt: undefined, builtAt: undefined, packedAt: undefined },
    ...{ replicatedAt: undefined, stagedAt: undefined, activeAt: undefined, endedAt: undefined },
    ...{ outcome: "open", reason: "", causes: new Set<string>(), machines: 0, active: 0 },
    distribution: undefined,
  };
}

/** Milliseconds in each phase; they add up to the time until the last machine was active. */
export function phasesOf(request: Request): Readonly<Record<Phase, number>> {
  const { requestedAt, leasedAt, builtAt, packedAt, replicatedAt, stagedAt, endedAt } = request;
  const end = request.activeAt ?? endedAt ?? requestedAt;
  const marks = [leasedAt, builtAt, packedAt, replicatedAt, stagedAt, end];
  let before = requestedAt;
  const lengths = PHASES.map((_, index) => {
    // A phase that was over before the one before it took no time of its own.
    const at = Math.min(end, Math.max(before, marks[index] ?? before));
    const length = at - before;
    before = at;
    return length;
  });
  return Object.fromEntries(PHASES.map((phase, index) => [phase, lengths[index] ?? 0])) as Record<
    Phase,
    number
  >;
}

/** Milliseconds from request to the last machine active. */
export function latencyOf({ requestedAt, activeAt, endedAt }: Request): number {
  return (activeAt ?? endedAt ?? requestedAt) - requestedAt;
}
