// What a relay sums up for the control plane: packs, rollouts, and the failing machines by name, in one
// message that stays within its limit. And when: at once after a quiet time, else once a second; while
// permits are out it waits for their answers.

import type { Instant } from "../core/machine.ts";
import { type DeskTally, tallyOf } from "../core/rollout/permit-tally.ts";
import {
  type AssignmentPhase,
  type PackReplica,
  AssignmentPhase as Phase,
  RelayReport,
  type RolloutTally,
} from "../proto/gen/millrace/v1/fleet.ts";
import { monotonicNow } from "../runtime/driver.ts";
import { MESSAGE_BYTES_MAX } from "../runtime/grpc/limits.ts";
import type { Space } from "../runtime/program/free-space.ts";
import type { OpenDesk } from "./permit-desks.ts";

/** Shortest time between two reports. */
const INTERVAL_MS = 1_000;
/** Longest, where nothing changes: the leader's view of a relay is never older than two beats. */
const QUIET_MS = 2_000;
/** How long the first change waits for those that come with it. */
const GATHER_MS = 20;
/** Failing machines named in one report. */
const FAILING_MAX = 1_000;
/** Characters of an error in a report: 1,000 of them with their names are 180 KB. */
const ERROR_MAX = 120;
/** Rollouts that have ended and are still told; those that are under way always are. */
const ENDED_MAX = 200;
/** Room for the envelope around a report. */
const REPORT_BYTES_MAX = MESSAGE_BYTES_MAX - 4_096;

/** What a report is made of. */
export interface ReportSources {
  readonly agents: number;
  readonly replicas: readonly PackReplica[];
  readonly desks: Iterable<OpenDesk>;
  readonly epoch: number;
  readonly refused: number;
  /** Of the disk that the relay keeps its state on; undefined: not known. */
  readonly space: Space | undefined;
}

/** The report at this moment. */
export function reportOf(sources: ReportSources): RelayReport {
  const desks = [...sources.desks];
  const live = desks.filter(({ assignment }) => isLive(assignment.phase));
  const ended = desks.filter(({ assignment }) => !isLive(assignment.phase)).slice(-ENDED_MAX);
  let failingLeft = FAILING_MAX;
  const rollouts = [...live, ...ended].map((open) => {
    const tally = tallyOf(open.desk, failingLeft);
    failingLeft -= tally.failing.length;
    return rolloutTally(open, tally);
  });
  const whole = sources.replicas.filter((replica) => replica.whole).length;
  const report: RelayReport = {
    agents: sources.agents,
    packs: [...sources.replicas],
    rollouts,
    packsWhole: whole,
    bytes: sources.replicas.reduce((sum, { bytes }) => sum + bytes, 0),
    epoch: sources.epoch,
    refused: sources.refused,
    clockMs: Date.now(),
    diskBytes: sources.space?.bytes ?? 0,
    diskFreeBytes: sources.space?.freeBytes ?? 0,
  };
  while (RelayReport.encode(report).finish().length > REPORT_BYTES_MAX && shrink(report)) {}
  return report;
}

/** Makes a report smaller where it can: fewer names first, then fewer ended rollouts and whole packs. */
function shrink(report: RelayReport): boolean {
  const most = report.rollouts.reduce((max, { failing }) => Math.max(max, failing.length), 0);
  if (most > 0) {
    for (const tally of report.rollouts) tally.failing = tally.failing.slice(0, most >> 1);
    return true;
  }
  const last = report.rollouts.at(-1);
  if (last !== undefined && !isLive(last.phase)) {
    report.rollouts.pop();
    return true;
  }
  const index = report.packs.findIndex(({ whole }) => whole);
  if (index !== -1) report.packs.splice(index, 1);
  return index !== -1;
}

function isLive(phase: AssignmentPhase): boolean {
  return phase === Phase.ASSIGNMENT_PHASE_OPEN || phase === Phase.ASSIGNMENT_PHASE_ROLLBACK;
}

function rolloutTally({ assignment }: OpenDesk, tally: DeskTally): RolloutTally {
  const { failing, bytes, ...counts } = tally;
  return {
    ...counts,
    rollout: assignment.rollout,
    epoch: assignment.epoch,
    revision: assignment.revision,
    phase: assignment.phase,
    waves: [...tally.waves],
    bytes: { origin: 0, ...bytes },
    failing: failing.map(({ agentId, region, error }) => ({
      agent: agentId,
      region,
      error: error.slice(0, ERROR_MAX),
    })),
  };
}

/** Calls `send` when a report is due. */
export class ReportPace {
  readonly #send: () => boolean;
  readonly #isBusy: () => boolean;
  #lastAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** When the oldest change that is not told yet came, and when it will be looked at. */
  #changedAt = Number.POSITIVE_INFINITY;
  #dueAt = Number.POSITIVE_INFINITY;
  #isStopped = false;

  /**
   * `send` returns false where there was nobody to send to. While it `isBusy` a change waits for more: what
   * is told of half of the permits would hold up the word that all are answered by a second.
   */
  constructor(send: () => boolean, isBusy: () => boolean) {
    this.#send = send;
    this.#isBusy = isBusy;
  }

  /** Something that a report tells has changed. */
  changed(): void {
    const now = monotonicNow();
    this.#changedAt = Math.min(this.#changedAt, now);
    const dueAt = Math.max(now + GATHER_MS, this.#lastAt + INTERVAL_MS);
    if (dueAt < this.#dueAt) this.#look(dueAt);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #look(at: Instant): void {
    this.#dueAt = at;
    this.#arm(at - monotonicNow());
  }

  #arm(delayMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#isStopped) this.#timer = setTimeout(() => this.#fire(), Math.ceil(delayMs));
  }

  #fire(): void {
    const latest = this.#changedAt + INTERVAL_MS;
    const isChanged = latest < Number.POSITIVE_INFINITY;
    this.#dueAt = Number.POSITIVE_INFINITY;
    if (isChanged && this.#isBusy() && monotonicNow() < latest) {
      this.#look(latest);
      return;
    }
    this.#changedAt = Number.POSITIVE_INFINITY;
    if (this.#send()) this.#lastAt = monotonicNow();
    this.#arm(QUIET_MS);
  }
}
