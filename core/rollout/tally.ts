// What relays say of a rollout: the latest sums of each, and what they come to together.
import type { Instant } from "../machine.ts";

/** Counts of one wave at one relay, cumulative in (epoch, rollout, wave). */
export interface WaveTally {
  readonly wave: number;
  /** Machines online that are in this wave or an earlier one. */
  readonly members: number;
  /** Of these: healthy on the release. */
  readonly healthy: number;
  /** Epoch of the permit counts. */
  readonly epoch: number;
  /** Permits handed out, and those that ran out before they were. */
  readonly granted: number;
  readonly succeeded: number;
  /** Answered failed, or never. */
  readonly failed: number;
  /** Ran out unused. */
  readonly returned: number;
}

/** One relay's sums for one rollout; machines that match and are online. */
export interface Tally {
  readonly epoch: number;
  readonly revision: number;
  readonly isRollback: boolean;
  /** The relay is ending and hands out no more permits. */
  readonly isClosed: boolean;
  readonly matching: number;
  /** Of these: on their way from one relay to another, so that both may count them; left out: none. */
  readonly away?: number;
  readonly fetching: number;
  /** Of these: would take a permit though they are not staged yet; left out: none. */
  readonly early?: number;
  /** Staged, without a permit. */
  readonly staged: number;
  readonly activating: number;
  readonly active: number;
  readonly failed: number;
  readonly reverted: number;
  /** Ran the release under the rollout and have not gone back yet. */
  readonly toRevert: number;
  readonly waves: readonly WaveTally[];
}

/** A relay that is connected. */
export interface RelayView {
  readonly relay: string;
  readonly region: string;
  readonly boot: string;
  readonly joinedAt: Instant;
  /** Until then its machines may be on their way back to it. */
  readonly settlesAt: Instant;
  /** Machines that it had when it was lost; undefined: that was not seen. */
  readonly had: number | undefined;
  heardAt: Instant;
  tally: Tally | undefined;
}

export interface Totals {
  readonly matching: number;
  readonly away: number;
  readonly active: number;
  /** Machines in the wave or an earlier one, and of these the healthy ones. */
  readonly members: number;
  readonly healthy: number;
  /** Of these: still fetching, or staged and waiting; neither healthy nor failed nor switching. */
  readonly unserved: number;
  /** Machines that switched and are not healthy now, whatever became of their permits. */
  readonly broken: number;
}

/** Sums over relays for one wave. */
export function totalsOf(relays: Iterable<RelayView>, wave: number): Totals {
  const sum = { matching: 0, away: 0, active: 0, members: 0, healthy: 0, unserved: 0 };
  let switched = 0;
  let activating = 0;
  for (const { tally } of relays) {
    if (tally === undefined) continue;
    const counts = waveTallyOf(tally, wave) ?? { members: 0, healthy: 0 };
    sum.matching += tally.matching;
    sum.away += tally.away ?? 0;
    sum.active += tally.active;
    sum.members += counts.members;
    sum.healthy += counts.healthy;
    sum.unserved += unservedOf(tally, counts);
    switched += tally.toRevert + tally.reverted;
    activating += tally.activating;
  }
  return { ...sum, broken: Math.max(0, switched - sum.active - activating) };
}

/** Machines of a wave at one relay that are neither healthy nor failed nor switching. */
export function unservedOf(
  { failed, reverted, activating }: Tally,
  { members, healthy }: Pick<WaveTally, "members" | "healthy">,
): number {
  return Math.max(0, members - healthy - failed - reverted - activating);
}

/** The counts of one wave, if the relay knows of it. */
export function waveTallyOf(tally: Tally, wave: number): WaveTally | undefined {
  return tally.waves.find((candidate) => candidate.wave === wave);
}
