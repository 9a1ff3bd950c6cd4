// A build as the queue keeps it: one shape for each state, and the table of how states follow each
// other. Instants are wall-clock milliseconds that are only shown; what decides are the `spent` durations.
import type { Labels } from "../rollout/targets.ts";

/** Where a build stands. */
export type BuildState = "queued" | "leased" | "succeeded" | "failed" | "cancelled" | "timed_out";

/** Which states may follow each; a leased build changes while it stays leased too. */
export const NEXT_STATES: Readonly<Record<BuildState, readonly BuildState[]>> = {
  queued: ["queued", "leased", "failed", "cancelled", "timed_out"],
  leased: ["leased", "queued", "succeeded", "failed", "cancelled", "timed_out"],
  succeeded: ["succeeded"],
  failed: [],
  cancelled: [],
  timed_out: [],
};

/** Rollout that is to follow the build. */
export interface ShipWish {
  readonly targets: Labels;
  readonly overrideTargets: boolean;
  readonly excludedRegions: readonly string[];
  readonly supersede: boolean;
  readonly urgent: boolean;
}

/** What is known of a build in every state. */
export interface BuildFacts {
  readonly id: string;
  readonly repository: string;
  readonly sha: string;
  /** Text of the recipe given with the request; empty: the repository's own. */
  readonly recipe: string;
  /** Service asked for; empty: whatever the recipe says. */
  readonly expectedService: string;
  /** Service from the recipe once it is known, else the one asked for. */
  readonly service: string;
  /** What equal requests have in common. */
  readonly dedupKey: string;
  readonly traceparent: string;
  readonly createdAtMs: number;
  readonly overallMs: number;
  /** Part of the overall limit that is used up, as of the last checkpoint. */
  readonly overallSpentMs: number;
  /** Time in this state and attempt, as of the last checkpoint. */
  readonly stateSpentMs: number;
  /** Number of the last lease; 0: none yet. */
  readonly attempt: number;
  /** Leases whose worker vanished. */
  readonly losses: number;
  /** The longest that a lost attempt ran: another needs at least that much time; 0: nothing known. */
  readonly retryNeedsMs: number;
  readonly requesters: readonly string[];
  readonly ship?: { readonly wish: ShipWish; readonly requesters: readonly string[] } | undefined;
}

/** The phase in which an attempt fetches its source; those that follow are words for people. */
export const FETCH_PHASE = "fetch";

/** How far an attempt is. */
export interface BuildProgress {
  /** Empty until its worker has said something. */
  readonly phase: string;
  /** Segments of its pack that lie at the origin. */
  readonly segments: number;
  readonly outputBytes: number;
  readonly packedBytes: number;
  readonly logBytes: number;
  /** Labels that the recipe's rollout is for. */
  readonly targets: Labels;
}

/** Facts of the last attempt. */
export interface Attempted {
  readonly worker: string;
  readonly startedAtMs: number;
  readonly progress: BuildProgress;
}

export interface QueuedBuild extends BuildFacts {
  readonly state: "queued";
}

export interface LeasedBuild extends BuildFacts, Attempted {
  readonly state: "leased";
  /** The attempt's time, and which limit it comes from. */
  readonly attemptMs: number;
  readonly attemptLimit: "attempt" | "overall";
  /** Nobody wants it any more; its worker is being told. */
  readonly cancelling: boolean;
  /** Rises with each heartbeat that is written down: whoever sees it rise has heard of the worker. */
  readonly heartbeats: number;
}

export interface SucceededBuild extends BuildFacts, Attempted {
  readonly state: "succeeded";
  readonly endedAtMs: number;
  readonly release: string;
  /** Rollout that followed; empty: none. */
  readonly rollout: string;
  /** Why no rollout followed where one was asked for. */
  readonly message: string;
}

export interface StoppedBuild extends BuildFacts, Attempted {
  readonly state: "failed" | "cancelled" | "timed_out";
  readonly endedAtMs: number;
  /** In a word. */
  readonly reason: string;
  /** In a sentence. */
  readonly message: string;
}

/** A build. */
export type BuildRow = QueuedBuild | LeasedBuild | SucceededBuild | StoppedBuild;

/** Progress of an attempt that has not said anything yet. */
export const NO_PROGRESS: BuildProgress = {
  phase: "",
  segments: 0,
  outputBytes: 0,
  packedBytes: 0,
  logBytes: 0,
  targets: {},
};

/** Whether an attempt has read its recipe: from then on it is known which machines the rollout is for. */
export function hasRecipe({ progress }: LeasedBuild): boolean {
  return progress.phase !== "" && progress.phase !== FETCH_PHASE;
}

/** Whether the build still goes on. */
export function isLive(row: BuildRow): row is QueuedBuild | LeasedBuild {
  return row.state === "queued" || row.state === "leased";
}

/** Name of the pack that an attempt makes. */
export function packOf(build: string, attempt: number): string {
  return `${build}.${attempt}`;
}
