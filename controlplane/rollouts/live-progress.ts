// How a rollout goes by region, from the latest sums of each relay. In memory only: relays say it again
// every second, and what was last heard is written down when the rollout ends.
import type { Tally } from "../../core/rollout/tally.ts";
import { AssignmentPhase, type RolloutTally } from "../../proto/gen/millrace/v1/fleet.ts";
import type {
  BytesBySource,
  FailingAgent,
  RegionProgress,
} from "../../proto/gen/millrace/v1/rollouts.ts";
import type { RelayHub } from "../fleet/relay-hub.ts";
import type { ReplicationTracker } from "../fleet/replication-tracker.ts";
import type { RolloutRecord } from "./rollout-record.ts";

/** Failing machines by name in one answer. */
const FAILING_MAX = 100;

export class LiveProgress {
  readonly #tallies = new Map<string, { region: string; tally: RolloutTally }>();

  /** Whether any relay has said something. */
  get isEmpty(): boolean {
    return this.#tallies.size === 0;
  }

  heard(relay: string, region: string, tally: RolloutTally): void {
    this.#tallies.set(relay, { region, tally });
  }

  /** Its machines are counted by other relays from now on. */
  lost(relay: string): void {
    this.#tallies.delete(relay);
  }

  failing(): FailingAgent[] {
    const all = [...this.#tallies.values()].flatMap(({ tally }) => tally.failing);
    return all.sort((a, b) => (a.agent < b.agent ? -1 : 1)).slice(0, FAILING_MAX);
  }

  regions(record: RolloutRecord, hub: RelayHub, tracker: ReplicationTracker): RegionProgress[] {
    const names = [...new Set(hub.known.map(({ region }) => region))].sort();
    return names.map((region) => this.#region(region, record, tracker));
  }

  #region(region: string, record: RolloutRecord, tracker: ReplicationTracker): RegionProgress {
    const tallies = [...this.#tallies.values()].filter((one) => one.region === region);
    const sum = (count: (tally: RolloutTally) => number): number =>
      tallies.reduce((total, { tally }) => total + count(tally), 0);
    const packs = record.release.layout?.packs ?? [];
    const held = packs.map(({ pack, bytes }) =>
      tracker.isWhole(region, pack) ? bytes : Math.min(bytes, tracker.bytes(region, pack)),
    );
    return {
      region,
      matching: sum((tally) => tally.matching),
      fetching: sum((tally) => tally.fetching),
      staged: sum((tally) => tally.staged),
      active: sum((tally) => tally.active),
      failed: sum((tally) => tally.failed),
      activating: sum((tally) => tally.activating),
      reverted: sum((tally) => tally.reverted),
      missingBytes: sum((tally) => tally.missingBytes),
      bytes: bytesOf(sum),
      replicatedBytes: held.reduce((total, bytes) => total + bytes, 0),
      neededBytes: packs.reduce((total, { bytes }) => total + bytes, 0),
      excluded: record.excludedRegions.includes(region),
    };
  }
}

/** A relay's sums as the machine takes them. */
export function tallyOf(tally: RolloutTally): Tally {
  const { epoch, revision, matching, away, fetching, early, staged, activating, active } = tally;
  const { failed, reverted, toRevert, waves, closed: isClosed } = tally;
  const isRollback = tally.phase === AssignmentPhase.ASSIGNMENT_PHASE_ROLLBACK;
  const counts = {
    matching,
    away,
    fetching,
    early,
    staged,
    activating,
    active,
    failed,
    reverted,
    toRevert,
  };
  return { epoch, revision, isRollback, isClosed, ...counts, waves };
}

function bytesOf(sum: (count: (tally: RolloutTally) => number) => number): BytesBySource {
  return {
    origin: sum(({ bytes }) => bytes?.origin ?? 0),
    relay: sum(({ bytes }) => bytes?.relay ?? 0),
    peer: sum(({ bytes }) => bytes?.peer ?? 0),
    local: sum(({ bytes }) => bytes?.local ?? 0),
  };
}
