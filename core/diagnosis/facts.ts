// What a diagnosis looks at: plain data, gathered by whoever leads. Times that have passed are in milliseconds.

export interface MemberFacts {
  readonly address: string;
  /** Why it does not answer; undefined: it does. */
  readonly trouble: string | undefined;
  readonly databaseBytes: number;
}

export interface StoreFacts {
  /** Several control planes may share it. */
  readonly isShared: boolean;
  /** Least time of a few durable writes; undefined: it could not be written. */
  readonly writeMs: number | undefined;
  /** Why it could not be written. */
  readonly trouble: string;
  /** Of etcd: its members; of another store none. */
  readonly members: readonly MemberFacts[];
  /** Of etcd: alarms that are raised, in its words. */
  readonly alarms: readonly string[];
}

export interface DiskFacts {
  /** Whose it is: "relay r-1", "control plane". */
  readonly owner: string;
  readonly freeBytes: number;
  readonly bytes: number;
}

export interface RelayFacts {
  readonly relay: string;
  readonly isOnline: boolean;
  /** Since its last report; undefined: none yet, or it is away. */
  readonly silentMs: number | undefined;
  readonly version: string;
  /** Its clock minus the leader's; undefined: it has not said. */
  readonly clockAheadMs: number | undefined;
  readonly agents: number;
  readonly capacity: number;
}

/** A pack that a region is to hold and does not hold whole. */
export interface MissingPack {
  readonly pack: string;
  /** Since it was complete at the origin, or this leader first saw it. */
  readonly forMs: number;
  /** What keeps it, in a relay's words; empty: nothing that is known. */
  readonly error: string;
}

export interface RegionFacts {
  readonly region: string;
  readonly relays: readonly RelayFacts[];
  /** Machines that are connected, and the most of the last minutes. */
  readonly agents: number;
  readonly agentsPeak: number;
  /** Machines of which a service has failed; undefined: a relay did not say. */
  readonly failing: number | undefined;
  readonly missing: readonly MissingPack[];
}

export interface QueueFacts {
  readonly queued: number;
  /** How long the oldest waits; 0 where none does. */
  readonly oldestMs: number;
  readonly leased: number;
  /** Workers that this control plane has heard of lately; others may be at other replicas. */
  readonly workers: number;
}

export interface RolloutFacts {
  readonly id: string;
  readonly service: string;
  readonly state: string;
  readonly isPaused: boolean;
  /** Since it was written last. */
  readonly unchangedMs: number;
  readonly failuresPercent: number;
  /** Machines that it is for. */
  readonly matching: number;
}

export interface ClusterFacts {
  /** Version of the leader. */
  readonly version: string;
  readonly store: StoreFacts;
  /** Why the origin cannot be used; undefined: it can. */
  readonly originTrouble: string | undefined;
  readonly disks: readonly DiskFacts[];
  readonly regions: readonly RegionFacts[];
  readonly queue: QueueFacts;
  readonly rollouts: readonly RolloutFacts[];
}
