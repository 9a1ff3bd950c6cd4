// What the parts of a simulated leader's term know of it: its fence, its store, the relays that are connected.
import type { Replicas } from "../../core/fleet/replicas.ts";
import type { Instant } from "../../core/machine.ts";
import type { WritePace } from "../../core/rollout/write-pace.ts";
import type { End } from "./lines.ts";
import type { Assignments, LeaderSays, RelayCommand, RelaySays, Release } from "./messages.ts";
import type { Process } from "./process.ts";
import type { StoreClient } from "./store-client.ts";
import type { Condition, StoredEntry } from "./store-model.ts";

/** Places at which a leader can die, as runtime/failpoint.ts has them. */
export type FailPoint = "before-txn" | "after-txn" | "before-send" | "after-send";

/** What must be read and cannot is read again after so long. */
export const READ_RETRY_MS = 500;

export type LineToRelay = End<RelaySays, LeaderSays>;

/** A relay that is connected. */
export interface RelaySeat {
  readonly relay: string;
  readonly region: string;
  readonly boot: string;
  readonly settlesAt: Instant;
  readonly line: LineToRelay;
}

export interface KnownRelay {
  readonly relay: string;
  readonly region: string;
}

export interface TermHost {
  readonly process: Process;
  readonly store: StoreClient;
  readonly epoch: number;
  readonly fence: Condition;
  readonly pace: WritePace;
  readonly replicas: Replicas;
  readonly isStopped: boolean;
  /** False as soon as others may lead. */
  readonly holds: boolean;
  /** Every relay that ever registered. */
  readonly knownRelays: readonly KnownRelay[];
  readonly seats: readonly RelaySeat[];
  isFenced(found: StoredEntry | undefined): boolean;
  /** A named place is reached; false: the leader has died there. */
  reach(point: FailPoint): boolean;
  /** Another leads, or has led. */
  lose(): void;
  /** Sends to one relay, if it is connected. */
  send(relay: string, command: RelayCommand): void;
  /** A service's assignments are these now. */
  assign(assignments: Assignments): void;
  /** Every region is to hold the release's pack. */
  need(release: Release): void;
}
