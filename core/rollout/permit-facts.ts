// The words of the permit desk: what one relay knows of a rollout and of the machines in it.
// Protobuf fields are read in `relay/`, never here.
import type { AssignmentPhase, ServicePhase } from "../fleet/agent-facts.ts";
import type { Instant } from "../machine.ts";
import type { KeptPermit } from "./permit-ledger.ts";
import type { Candidate, WaveRule } from "./targets.ts";

/** The rollout as the relay was told. */
export interface DeskAssignment {
  readonly epoch: number;
  readonly revision: number;
  readonly phase: AssignmentPhase;
  readonly paused: boolean;
  /** Release it brings, hex; empty: the service is stopped. */
  readonly release: string;
  /** Release before it, hex; empty: none. */
  readonly fallback: string;
  readonly waves: readonly WaveRule[];
  /** How long a machine may take from the beginning of a switch to its answer. */
  readonly answerMs: number;
  /** The release is on a machine in less time than it takes to say so, so that permits need not wait for that; left out: no. */
  readonly isQuick?: boolean;
}

/** What a machine last said of the service. */
export interface Standing {
  readonly rollout: string;
  readonly running: string;
  readonly phase: ServicePhase;
  /** Permit it acts under; empty: none. */
  readonly permit: string;
  readonly error: string;
  readonly bytes: { readonly relay: number; readonly peer: number; readonly local: number };
  readonly missingBytes: number;
}

export type DeskInput =
  | { readonly kind: "assigned"; readonly assignment: DeskAssignment }
  /**
   * So many permits may have been handed out in this (epoch, wave), cumulative; of these, so many
   * `together` may be out or have failed.
   */
  | {
      readonly kind: "granted";
      readonly epoch: number;
      readonly wave: number;
      readonly quota: number;
      readonly together: number;
      readonly ttlMs: number;
    }
  /** The leader with this epoch lives until then; nothing is handed out later. */
  | { readonly kind: "led"; readonly epoch: number; readonly until: Instant }
  /** A machine that matches is online, or has said something new. */
  | {
      readonly kind: "stood";
      readonly candidate: Candidate;
      readonly standing: Standing | undefined;
      /** It is a new connection: what was sent on an older one may not have come. */
      readonly connected: boolean;
      /** It broke off a moment ago, and may have come to another relay. */
      readonly away?: boolean;
      /** It came from another relay, which may count it still. */
      readonly moving?: boolean;
      /** It keeps a permit that comes before the release is staged. */
      readonly takesEarly?: boolean;
    }
  /** A machine is offline, or matches no longer. */
  | { readonly kind: "gone"; readonly agentId: string }
  /** The relay is ending: nothing more is handed out in this life. */
  | { readonly kind: "closed" }
  | { readonly kind: "wake" };

export type DeskEffect =
  /** Keep it durably before any later effect is performed. */
  | { readonly kind: "keep"; readonly permit: KeptPermit }
  /** Note how it ended; if that is lost, the machine's own word replaces it. */
  | { readonly kind: "note"; readonly permit: KeptPermit }
  /** Send it to the agent. */
  | { readonly kind: "send"; readonly permit: KeptPermit; readonly ttlMs: number };
