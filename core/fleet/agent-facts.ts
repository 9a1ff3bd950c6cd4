// What an agent's machine for one service hears and commands, and the words of both. Parsed and
// bounded already: protobuf fields are read in `runtime/agent/wire.ts`, never here.
import type { Candidate, Targets, WaveRule } from "../rollout/targets.ts";
import type { Journal } from "./agent-journal.ts";
import type { Step } from "./agent-switch.ts";
import type { Findings, ReleaseId, Runnable } from "./runnable.ts";

export interface ServiceMachineOptions {
  /** This machine as rules see it. */
  readonly candidate: Candidate;
  /** What the last life remembered. */
  readonly journal?: Journal;
  /** Releases kept on disk, at least those that are pinned. */
  readonly keepReleases: number;
}

export type AssignmentPhase = "open" | "final" | "rollback" | "frozen";

/** What the machines that match should run. */
export interface Assignment {
  readonly rollout: string;
  /** Undefined: nothing; the service is stopped. */
  readonly release: Runnable | undefined;
  /** What ran before; undefined: nothing did. */
  readonly fallback: Runnable | undefined;
  readonly targets: Targets;
  readonly phase: AssignmentPhase;
  /** Waves drawn so far. */
  readonly waves: readonly WaveRule[];
  readonly paused: boolean;
  /** Releases to keep on disk; 0: as the agent was told. */
  readonly keep: number;
}

/** All assignments of a service, newest first; (epoch, revision) orders them. */
export interface ServiceOrders {
  readonly epoch: number;
  readonly revision: number;
  readonly assignments: readonly Assignment[];
}

/** Leave to activate, begun within `ttlMs` of its receipt. */
export interface Permit {
  readonly id: string;
  readonly rollout: string;
  readonly epoch: number;
  readonly wave: number;
  readonly ttlMs: number;
  /** Release it is for; empty: to stop. */
  readonly release: string;
}

export type Input =
  | { readonly kind: "booted"; readonly findings: Findings }
  | { readonly kind: "assigned"; readonly orders: ServiceOrders }
  | { readonly kind: "permitted"; readonly permit: Permit }
  | { readonly kind: "staging"; readonly release: ReleaseId; readonly phase: "fetch" | "stage" }
  | { readonly kind: "staged"; readonly release: ReleaseId }
  /** `hopeless`: the release itself is wrong; trying again under the same rollout will not help. */
  | {
      readonly kind: "staging-failed";
      readonly release: ReleaseId;
      readonly error: string;
      readonly hopeless: boolean;
    }
  /** The step with that number is done, or has failed. */
  | { readonly kind: "performed"; readonly number: number; readonly error?: string | undefined }
  /** A process that should be up has ended, or could not be started again. */
  | { readonly kind: "exited"; readonly release: ReleaseId; readonly detail: string }
  | { readonly kind: "probed"; readonly release: ReleaseId; readonly healthy: boolean }
  /** The disk budget has no room for these, where nothing needs them. */
  | { readonly kind: "evicted"; readonly releases: readonly ReleaseId[] }
  | { readonly kind: "wake" };

export type Effect =
  /** Write it durably before any later effect is performed. */
  | { readonly kind: "persist"; readonly journal: Journal }
  | { readonly kind: "stage"; readonly release: ReleaseId; readonly rollout: string }
  | { readonly kind: "unstage"; readonly release: ReleaseId }
  /** Answered by `performed` with the same number; a check under way is given up for a later step. */
  | { readonly kind: "perform"; readonly number: number; readonly step: Step }
  /** Have the process up; not answered unless it exits. */
  | { readonly kind: "restart"; readonly release: ReleaseId }
  /** End a process that nothing wants. */
  | { readonly kind: "reap"; readonly release: ReleaseId }
  /** Set `current`, outside of a switch. */
  | { readonly kind: "repoint"; readonly release: ReleaseId | undefined }
  /** Probe this release from now on, and no other. */
  | { readonly kind: "watch"; readonly release: ReleaseId | undefined }
  /** Take all other releases of the service away at once. */
  | { readonly kind: "collect"; readonly keep: readonly ReleaseId[] }
  | { readonly kind: "report"; readonly status: ServiceReport }
  /** `isOld`: it is of a leader that is none any more. */
  | {
      readonly kind: "refuse";
      readonly permit: Permit;
      readonly reason: string;
      readonly isOld: boolean;
    }
  /** Assignments below the highest (epoch, revision) that was followed. */
  | { readonly kind: "refuse-orders"; readonly orders: ServiceOrders };

export type ServicePhase =
  | "fetching"
  | "staging"
  | "staged"
  | "activating"
  | "checking"
  | "active"
  | "failed"
  | "reverting"
  | "reverted"
  | "stopped";

/** How the service stands, as far as the machine knows. */
export interface ServiceReport {
  readonly rollout: string;
  readonly release: string;
  readonly running: string;
  readonly lastGood: string;
  readonly phase: ServicePhase;
  readonly permit: string;
  readonly error: string;
  readonly healthy: boolean;
  readonly epoch: number;
}
