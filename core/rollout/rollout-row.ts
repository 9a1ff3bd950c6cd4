// A rollout as it is written down: everything that a leader with a new epoch needs to go on. Instants
// are not in it (they mean nothing in another process), and neither is what relays say again by themselves.
import type { Labels } from "./targets.ts";

export type RolloutState =
  | "waiting"
  | "replicating"
  | "activating"
  | "baking"
  | "rolling_back"
  | "succeeded"
  | "rolled_back"
  | "aborted"
  | "failed";

/** One wave as asked for. */
export interface WavePlan {
  /** Share of the machines that pass the filter and have the release after this wave, 0-100. */
  readonly percent: number;
  readonly regions: readonly string[];
  readonly labels: Labels;
  readonly bakeMs: number;
}

/** A rollout as asked for; never changes. */
export interface RolloutPlan {
  readonly id: string;
  /** At least one. */
  readonly waves: readonly WavePlan[];
  readonly failuresPercent: number;
  readonly maxUnavailablePercent: number;
  /** Machines that must have reported before a gate opens; 0: all of the wave up to 10. */
  readonly sampleMin: number;
  readonly targets: Labels;
  readonly excludedRegions: readonly string[];
  /** Longest time from the beginning of an activation to its answer, milliseconds. */
  readonly answerMs: number;
  /** Whether the service has a release to go back to. */
  readonly hasFallback: boolean;
}

/** One wave as drawn. */
export interface WaveRow {
  /** Machines in it, with those before; exact when it was drawn. */
  readonly size: number;
  readonly threshold: number;
  /** Machines that were to get a permit when the first one was granted; undefined: none was yet. */
  readonly planned: number | undefined;
  /** Machines of the rollout that were online then: what maxUnavailable is a share of. */
  readonly matching: number;
  /** Machines that were healthy on the release then. */
  readonly activeBefore: number;
  readonly permitted: number;
  readonly healthy: number;
  readonly failed: number;
}

/** What one relay was granted in the current wave under one epoch. Committed before it is sent. */
export interface LedgerRow {
  readonly relay: string;
  /** The relay's start; another one has forgotten what it handed out. */
  readonly boot: string;
  readonly epoch: number;
  readonly quota: number;
  /** Of the quota, so many may be out or have failed at any time. */
  readonly together: number;
}

/** Permits of the current wave that are answered for good and have no ledger any more. */
export interface SettledPermits {
  readonly succeeded: number;
  readonly failed: number;
}

export interface RolloutRow {
  readonly state: RolloutState;
  /** Why, in a word; empty while all is well. */
  readonly reason: string;
  readonly message: string;
  readonly paused: boolean;
  readonly wave: number;
  /** Waves drawn so far. */
  readonly waves: readonly WaveRow[];
  readonly ledgers: readonly LedgerRow[];
  readonly settled: SettledPermits;
  /** Relays that were granted permits in any wave: only their machines can have switched. */
  readonly permittedRelays: readonly string[];
}

export const NOTHING_SETTLED: SettledPermits = { succeeded: 0, failed: 0 };

/** The row of a rollout that begins; behind another one it waits. */
export function newRolloutRow(isBehindAnother: boolean): RolloutRow {
  return {
    state: isBehindAnother ? "waiting" : "replicating",
    reason: "",
    message: "",
    paused: false,
    wave: 0,
    waves: [],
    ledgers: [],
    settled: NOTHING_SETTLED,
    permittedRelays: [],
  };
}
