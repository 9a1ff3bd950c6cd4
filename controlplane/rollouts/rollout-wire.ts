// A rollout as the API shows it: what is written down, with what relays say right now.
import type { RolloutState } from "../../core/rollout/rollout-row.ts";
import { type Rollout, RolloutState as WireState } from "../../proto/gen/millrace/v1/rollouts.ts";
import type { RelayHub } from "../fleet/relay-hub.ts";
import type { ReplicationTracker } from "../fleet/replication-tracker.ts";
import type { LiveProgress } from "./live-progress.ts";
import type { RolloutRecord } from "./rollout-record.ts";

const WIRE_STATE = {
  waiting: WireState.ROLLOUT_STATE_WAITING,
  replicating: WireState.ROLLOUT_STATE_REPLICATING,
  activating: WireState.ROLLOUT_STATE_ACTIVATING,
  baking: WireState.ROLLOUT_STATE_BAKING,
  rolling_back: WireState.ROLLOUT_STATE_ROLLING_BACK,
  succeeded: WireState.ROLLOUT_STATE_SUCCEEDED,
  rolled_back: WireState.ROLLOUT_STATE_ROLLED_BACK,
  aborted: WireState.ROLLOUT_STATE_ABORTED,
  failed: WireState.ROLLOUT_STATE_FAILED,
} as const satisfies Record<RolloutState, WireState>;

export interface Seen {
  readonly record: RolloutRecord;
  readonly revision: number;
  readonly progress: LiveProgress | undefined;
}

/** The rollout for a caller. */
export function rolloutToWire(
  { record, revision, progress }: Seen,
  hub: RelayHub,
  tracker: ReplicationTracker,
): Rollout {
  const isLive = progress !== undefined && (record.endedAtMs === 0 || !progress.isEmpty);
  const written = endedRollout(record, revision);
  if (!isLive) return written;
  return {
    ...written,
    regions: progress.regions(record, hub, tracker),
    failing: progress.failing(),
  };
}

/** A rollout as it is written down, with what was last heard before it ended. */
export function endedRollout(record: RolloutRecord, revision: number): Rollout {
  const { row, release, previous, policy } = record;
  const waves = policy.waves.map((rule, index) => {
    const {
      size = 0,
      threshold = 0,
      permitted = 0,
      healthy = 0,
      failed = 0,
    } = row.waves[index] ?? {};
    return { policy: rule, size, threshold, permitted, healthy, failed };
  });
  return {
    id: record.id,
    service: record.service,
    release: release.release,
    sha: release.sha,
    previousRelease: previous?.release ?? "",
    previousSha: previous?.sha ?? "",
    state: WIRE_STATE[row.state],
    reason: row.reason,
    message: row.message,
    paused: row.paused,
    wave: row.wave,
    waves,
    policy,
    regions: [...record.regions],
    failing: [...record.failing],
    createdAtMs: record.createdAtMs,
    endedAtMs: record.endedAtMs,
    updatedAtMs: record.updatedAtMs,
    revision,
    build: record.build,
    excludedRegions: [...record.excludedRegions],
    artifactBytes: release.bytes,
    packedBytes: release.packedBytes,
  };
}
