// What a run of a simulated scenario comes to, as the simulator prints it in JSON and the command shows it.

/** Phases from request to the last machine active, in order. */
export const PHASES = ["queue", "build", "pack", "replicate", "fetch", "activate"] as const;
export type Phase = (typeof PHASES)[number];

/** Seconds at three quantiles, and the last. */
export interface Quantiles {
  readonly p50_s: number;
  readonly p99_s: number;
  readonly p999_s: number;
  readonly last_s: number;
}

/** Of the busiest second, or the most at a time. */
export interface PeakLoad {
  readonly origin_bytes_per_s: number;
  readonly relay_sessions: number;
  /** What one relay tells its siblings of who is in which swarm. */
  readonly relay_roster_messages_per_s: number;
  readonly relay_members_told_per_s: number;
  readonly leader_facts_per_s: number;
  readonly leader_writes_per_s: number;
  readonly open_rollouts: number;
  readonly queued_builds: number;
}

export interface Summary {
  readonly verdict: "met" | "missed";
  /** Why, in a sentence. */
  readonly why: string;
  readonly slo: { readonly minutes: number; readonly availability: number };
  readonly agents: number;
  readonly pieces: number;
  readonly requests: {
    readonly all: number;
    readonly right: number;
    readonly late: number;
    readonly fault: number;
    /** Whose command failed or took too long: not counted. */
    readonly own: number;
    readonly open: number;
    readonly reasons: Readonly<Record<string, number>>;
  };
  readonly availability: number;
  readonly p50_s: number;
  readonly p99_s: number;
  readonly p999_s: number;
  readonly last_active_s: number;
  readonly phases: Readonly<Record<Phase, Quantiles>>;
  readonly slowest: readonly { readonly cause: string; readonly requests: number }[];
  /** From the last byte packed to the last living machine that fetched it, over the largest regional bound. */
  readonly distribution_over_bound: number;
  /**
   * Of the median release, in its worst region; milliseconds from its first byte packed. `whole_over_bound` is that time
   * over the bound, or over the time it took to be packed where that is longer.
   */
  readonly distribution: Readonly<Record<string, number>>;
  readonly bytes: Readonly<Record<"origin" | "relay" | "peer" | "local", number>>;
  readonly peak: PeakLoad;
  /** From the last fault until all agents that it cut off had a relay again. */
  readonly agents_back_s: number;
  readonly faults: readonly {
    readonly at_s: number;
    readonly kind: string;
    readonly what: string;
  }[];
  readonly trace: string;
}

/** A run with what it took. */
export interface SimulationRun extends Summary {
  readonly scenario: string;
  readonly about: string;
  readonly seed: number;
  readonly wall_s: number;
  readonly peak_rss_mb: number;
}
