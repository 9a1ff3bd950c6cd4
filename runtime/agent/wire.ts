// Reads what a relay sends into the words of core, and the machine's report into a message. The only
// file of an agent that sees optional protobuf fields; throws WireError, naming the field.
import type {
  Assignment,
  AssignmentPhase,
  Permit,
  ServiceOrders,
  ServicePhase,
  ServiceReport,
} from "../../core/fleet/agent-facts.ts";
import type { Runnable } from "../../core/fleet/runnable.ts";
import { WireError } from "../../core/release/wire-error.ts";
import {
  type Permit as PermitMessage,
  AssignmentPhase as PhaseNumber,
  type ServiceAssignments,
  ServicePhase as ServicePhaseNumber,
  type ServiceStatus,
} from "../../proto/gen/millrace/v1/fleet.ts";
import type { Activation, Release } from "../../proto/gen/millrace/v1/release_format.ts";

/** Bytes by the place they came from. */
export interface BytesGot {
  readonly relay: number;
  readonly peer: number;
  readonly local: number;
}

/** Becomes the name of a folder: no dot, no slash. */
const SERVICE_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const RELEASE_ID = /^[0-9a-f]{64}$/;
const ASSIGNMENTS_MAX = 1_000;

const PHASES: { readonly [phase in PhaseNumber]?: AssignmentPhase } = {
  [PhaseNumber.ASSIGNMENT_PHASE_OPEN]: "open",
  [PhaseNumber.ASSIGNMENT_PHASE_FINAL]: "final",
  [PhaseNumber.ASSIGNMENT_PHASE_ROLLBACK]: "rollback",
  [PhaseNumber.ASSIGNMENT_PHASE_FROZEN]: "frozen",
};

const SERVICE_PHASES: { readonly [phase in ServicePhase]: ServicePhaseNumber } = {
  fetching: ServicePhaseNumber.SERVICE_PHASE_FETCHING,
  staging: ServicePhaseNumber.SERVICE_PHASE_STAGING,
  staged: ServicePhaseNumber.SERVICE_PHASE_STAGED,
  activating: ServicePhaseNumber.SERVICE_PHASE_ACTIVATING,
  checking: ServicePhaseNumber.SERVICE_PHASE_CHECKING,
  active: ServicePhaseNumber.SERVICE_PHASE_ACTIVE,
  failed: ServicePhaseNumber.SERVICE_PHASE_FAILED,
  reverting: ServicePhaseNumber.SERVICE_PHASE_REVERTING,
  reverted: ServicePhaseNumber.SERVICE_PHASE_REVERTED,
  stopped: ServicePhaseNumber.SERVICE_PHASE_STOPPED,
};

/** Reads the assignments of a service. A phase unknown here is one to do nothing under. */
export function readOrders(message: ServiceAssignments): ServiceOrders {
  checkService(message.service);
  if (message.assignments.length > ASSIGNMENTS_MAX) {
    throw new WireError(
      `${message.assignments.length} assignments`,
      "assignments",
      ASSIGNMENTS_MAX,
    );
  }
  return {
    epoch: message.epoch,
    revision: message.revision,
    assignments: message.assignments.map(
      (assignment): Assignment => ({
        rollout: assignment.rollout,
        release: runnable(assignment.release),
        fallback: runnable(assignment.fallback),
        targets: {
          labels: assignment.targets,
          excludedRegions: assignment.excludedRegions,
        },
        phase: PHASES[assignment.phase] ?? "frozen",
        waves: assignment.waves,
        paused: assignment.paused,
        keep: assignment.keepReleases,
      }),
    ),
  };
}

/** The records that assignments bring, by release. */
export function recordsOf(message: ServiceAssignments): Release[] {
  return message.assignments.flatMap(({ release, fallback }) =>
    [release, fallback].filter((record) => record !== undefined),
  );
}

export function readPermit(message: PermitMessage): Permit {
  checkService(message.service);
  const { id, rollout, epoch, wave, ttlMs, release } = message;
  if (id === "") throw new WireError("a permit without an id", "permit");
  return { id, rollout, epoch, wave, ttlMs, release };
}

/** A service's status as it is sent; what is not in the machine's report is added to it. */
export function writeStatus(
  service: string,
  report: ServiceReport,
  more: {
    readonly bytes: BytesGot;
    readonly missingBytes: number;
    readonly pid: number;
    readonly port: number;
    readonly trouble: string;
  },
): ServiceStatus {
  const { phase, error, ...same } = report;
  const { bytes, missingBytes, pid, port, trouble } = more;
  return {
    ...same,
    service,
    phase: SERVICE_PHASES[phase],
    error: trouble === "" ? error : trouble,
    bytes: { origin: 0, ...bytes },
    missingBytes,
    pid,
    port,
  };
}

function checkService(service: string): void {
  if (!SERVICE_NAME.test(service))
    throw new WireError(`service ${JSON.stringify(service)}`, "name");
}

function runnable(record: Release | undefined): Runnable | undefined {
  if (record === undefined) return undefined;
  if (!RELEASE_ID.test(record.release)) {
    throw new WireError(`release ${JSON.stringify(record.release)}`, "release id");
  }
  return { release: record.release, way: wayOf(record.activation) };
}

function wayOf(activation: Activation | undefined): Runnable["way"] {
  if (activation === undefined) return { kind: "files" };
  if (activation.exec.length > 0) return { kind: "process", port: activation.port };
  return activation.hook.length > 0 ? { kind: "hook" } : { kind: "files" };
}
