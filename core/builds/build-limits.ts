// How long a build may wait, run, be silent and take altogether, and how often it is tried.
// Every build ends by overall + detect + sweep, whatever its workers do.

export interface BuildLimits {
  /** Longest wait for a worker as a share of the overall limit; it begins anew after each loss. */
  readonly queueShare: number;
  /** Longest attempt as a share of the overall limit; shorter where that comes first. */
  readonly attemptShare: number;
  /** Silence after which a worker counts as lost. */
  readonly detectMs: number;
  /** How often deadlines are looked at. */
  readonly sweepMs: number;
  /** How often the time that a build has used is written down, so that restarts do not give it back. */
  readonly checkpointMs: number;
}

/** Limits of a control plane that says nothing else. */
export const BUILD_LIMITS: BuildLimits = {
  // 10 of 20 min: who has waited longer could not finish a build of 10 min either.
  queueShare: 0.5,
  // 18 of 20 min: builds take 15 min, and 3 more for fetching and packing.
  attemptShare: 0.9,
  // 15 heartbeats, 3 that are written down; with the sweep a lost build is in the queue again within 15 s.
  // Whole sweeps: else what is leased after its time, before a sweep, would end one sweep beyond the bound.
  detectMs: 13_000,
  sweepMs: 1_000,
  // 1,000 live builds: 33 writes a second.
  checkpointMs: 30_000,
};

/** Overall limit where a request names none. */
export const OVERALL_MS_DEFAULT = 20 * 60_000;
/** Longest overall limit that may be asked for: a day. */
export const OVERALL_MS_MAX = 24 * 3_600_000;

/** Deliveries of one build to workers that then vanish: a job that kills its workers ends here. */
export const DELIVERIES_MAX = 3;

/** A retry needs at least this much time; less would only be spent on checking out. */
export const RETRY_MS_MIN = 5_000;

/** Requests attached to one build. */
export const REQUESTERS_MAX = 1_000;

/** Longest wait for a worker of a build with this overall limit. */
export function queueMsOf(overallMs: number, limits: BuildLimits): number {
  return Math.ceil(overallMs * limits.queueShare);
}

/** Longest attempt of a build with this overall limit. */
export function attemptMsOf(overallMs: number, limits: BuildLimits): number {
  return Math.ceil(overallMs * limits.attemptShare);
}

/**
 * How long what is not urgent waits to be written with others: twice a second, and a small part of the silence that
 * loses a lease, because a heartbeat that waits is heard later by a leader that is another replica.
 */
export function groupMsOf(limits: BuildLimits): number {
  return limits.detectMs / 26;
}

/**
 * A worker ends an attempt by itself when its time is up; the sweeper waits this much longer, so that
 * the worker's word, which says more, comes first. A third of the silence that loses a lease.
 */
export function attemptGraceMs(limits: BuildLimits): number {
  return limits.detectMs / 3;
}
