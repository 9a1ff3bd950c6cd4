// What a relay sums up for the control plane: packs, rollouts, and the failing machines by name, in one
// message that stays within its limit. When it is sent is decided in core/fleet/report-pace.ts.

import { type DeskTally, tallyOf } from "../core/rollout/permit-tally.ts";
import {
  type AssignmentPhase,
  type PackReplica,
  AssignmentPhase as Phase,
  RelayReport,
  type RolloutTally,
} from "../proto/gen/millrace/v1/fleet.ts";
import { MESSAGE_BYTES_MAX } from "../runtime/grpc/limits.ts";
import type { Space } from "../runtime/program/free-space.ts";
import type { OpenDesk } from "./permit-desks.ts";

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
  const { failing, bytes, isClosed, ...counts } = tally;
  return {
    ...counts,
    closed: isClosed,
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
