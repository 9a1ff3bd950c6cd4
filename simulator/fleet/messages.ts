// What programs of a simulated fleet say to each other: the plain data that production's protobuf messages carry.
import type { ServiceReport } from "../../core/fleet/agent-facts.ts";
import type { Replica } from "../../core/fleet/replicas.ts";
import type { SessionOrder } from "../../core/fleet/session-order.ts";
import type { RosterMember } from "../../core/fleet/swarm-members.ts";
import type { RememberedOrder } from "../../core/leadership/lost-orders.ts";
import type { AssignmentRule } from "../../core/rollout/assignment-rules.ts";
import type { CensusCount, CountQuestion } from "../../core/rollout/census.ts";
import type { Tally } from "../../core/rollout/tally.ts";
import type { Candidate, Targets } from "../../core/rollout/targets.ts";

/** A release as a fleet knows it. */
export interface Release {
  /** What machines know it by. */
  readonly release: string;
  readonly service: string;
  /** The pack that it lies in, and how many segments that has. */
  readonly pack: string;
  readonly segments: number;
  /** 0: a free port at each start. */
  readonly port: number;
  /** How long a machine may take from the beginning of a switch to its answer. */
  readonly answerMs: number;
  /** Permits need not wait for it to be staged. */
  readonly isQuick: boolean;
}

export type Rule = AssignmentRule<Release>;

/** All assignments of a service. */
export interface Assignments {
  readonly service: string;
  readonly epoch: number;
  readonly revision: number;
  readonly rules: readonly Rule[];
}

export interface Permit {
  readonly id: string;
  readonly service: string;
  readonly rollout: string;
  readonly epoch: number;
  readonly wave: number;
  readonly ttlMs: number;
  readonly release: string;
}

/** Leave to fetch a pack while it is being built; nothing is staged under it. */
export interface Order extends Targets {
  /** `<build>.<attempt>`. */
  readonly id: string;
  readonly pack: string;
  readonly epoch: number;
}

/** `keep`: the pack belongs to a release now. */
export interface OrderEnded {
  readonly kind: "order-ended";
  readonly id: string;
  readonly pack: string;
  readonly keep: boolean;
}

export type RelaySays =
  | {
      readonly kind: "hello";
      readonly relay: string;
      readonly region: string;
      readonly boot: string;
      readonly epoch: number;
      readonly revision: number;
      readonly settleMs: number;
    }
  | {
      readonly kind: "report";
      readonly tallies: readonly (Tally & { readonly rollout: string })[];
      readonly replicas: readonly Replica[];
    }
  | {
      readonly kind: "counted";
      readonly rollout: string;
      readonly query: number;
      readonly count: CensusCount;
    }
  | { readonly kind: "used"; readonly query: number; readonly releases: readonly string[] }
  | { readonly kind: "memory"; readonly orders: readonly RememberedOrder[] };

export type LeaderSays =
  | { readonly kind: "heartbeat"; readonly epoch: number; readonly ttlMs: number }
  | { readonly kind: "reconnect"; readonly to: string | undefined }
  /** From a leader whose store went back: say what you remember. */
  | { readonly kind: "recall" }
  | RelayCommand;

/** What a relay obeys once it knows that a leader speaks. */
export type RelayCommand =
  | { readonly kind: "assignments"; readonly assignments: Assignments }
  | {
      readonly kind: "quota";
      readonly rollout: string;
      readonly epoch: number;
      readonly wave: number;
      readonly quota: number;
      readonly together: number;
      readonly ttlMs: number;
    }
  | { readonly kind: "count"; readonly query: number; readonly asked: CountQuestion }
  | {
      readonly kind: "pack";
      readonly pack: string;
      readonly segments: number;
      readonly sealed: boolean;
    }
  | { readonly kind: "order"; readonly order: Order }
  | OrderEnded
  | { readonly kind: "uses"; readonly query: number }
  | { readonly kind: "siblings"; readonly relays: readonly string[] }
  | { readonly kind: "snapshot-end"; readonly epoch: number };

export type AgentSays =
  | {
      readonly kind: "hello";
      readonly candidate: Candidate;
      /** It keeps permits that come before their release is staged. */
      readonly takesEarly: boolean;
      readonly session: SessionOrder;
      /** The relay that welcomed this boot last; undefined: none yet. */
      readonly relayBefore: string | undefined;
      readonly statuses: readonly Status[];
    }
  | { readonly kind: "status"; readonly status: Status }
  | { readonly kind: "swarm"; readonly pack: string; readonly joined: boolean };

/** How a service stands on a machine. */
export interface Status {
  readonly service: string;
  readonly report: ServiceReport;
}

export type RelayTells =
  | { readonly kind: "welcome"; readonly relays: readonly string[] }
  | { readonly kind: "assignments"; readonly assignments: Assignments }
  | { readonly kind: "permit"; readonly permit: Permit }
  | { readonly kind: "order"; readonly order: Order }
  | OrderEnded
  /** All that there is to say at first is said. */
  | { readonly kind: "snapshot-end" }
  | {
      readonly kind: "members";
      readonly pack: string;
      readonly relays: readonly string[];
      readonly members: readonly RosterMember[];
    }
  | { readonly kind: "reconnect"; readonly afterMs: number };
