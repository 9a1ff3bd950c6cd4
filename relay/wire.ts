// What relays read from protobuf, as plain data of core: the only place that sees wire enums and
// optional fields. Fields that break a limit are refused by name, value and limit.
import type { AssignmentPhase, ServicePhase } from "../core/fleet/agent-facts.ts";
import type { DeskAssignment, Standing } from "../core/rollout/permit-facts.ts";
import type { Targets, WaveRule } from "../core/rollout/targets.ts";
import {
  type AgentHello,
  type Assignment,
  type ServiceStatus,
  AssignmentPhase as WirePhase,
  ServicePhase as WireServicePhase,
} from "../proto/gen/millrace/v1/fleet.ts";
import type { Release } from "../proto/gen/millrace/v1/release_format.ts";
import { invalid } from "../runtime/grpc/rpc-error.ts";
import { AddressError, parseAddress } from "../runtime/listen-address.ts";

/** Labels of an agent. */
const LABELS_MAX = 64;
/** Characters of a label's name and of its value. */
const LABEL_NAME_MAX = 63;
const LABEL_VALUE_MAX = 256;
/** Services of one machine: a status is about 300 bytes, and all must fit in one hello. */
const SERVICES_MAX = 256;
/** Characters of what failed; the rest is in the agent's log. */
const ERROR_MAX = 1_000;
const ID_MAX = 64;
const TEXT_MAX = 4_096;

/** A release of so much is fetched over 100 Mbit/s in 90 ms; relays report once a second. */
const QUICK_BYTES_MAX = 1024 * 1024;
/** So many files are written and synced within a tenth of a second or two. */
const QUICK_ENTRIES_MAX = 100;

/** Where a recipe says nothing of how long a machine may take to become healthy. */
const HEALTH_WITHIN_MS_DEFAULT = 30_000;
/** Where it says nothing of how long an old process may take to end. */
const DRAIN_MS_DEFAULT = 10_000;
/** Beside draining and health: stopping, starting, and the report's way. */
const ANSWER_GRACE_MS = 10_000;

const PHASES: Readonly<Record<number, ServicePhase>> = {
  [WireServicePhase.SERVICE_PHASE_FETCHING]: "fetching",
  [WireServicePhase.SERVICE_PHASE_STAGING]: "staging",
  [WireServicePhase.SERVICE_PHASE_STAGED]: "staged",
  [WireServicePhase.SERVICE_PHASE_ACTIVATING]: "activating",
  [WireServicePhase.SERVICE_PHASE_CHECKING]: "checking",
  [WireServicePhase.SERVICE_PHASE_ACTIVE]: "active",
  [WireServicePhase.SERVICE_PHASE_FAILED]: "failed",
  [WireServicePhase.SERVICE_PHASE_REVERTING]: "reverting",
  [WireServicePhase.SERVICE_PHASE_REVERTED]: "reverted",
  [WireServicePhase.SERVICE_PHASE_STOPPED]: "stopped",
};

const ASSIGNMENT_PHASES: Readonly<Record<number, AssignmentPhase>> = {
  [WirePhase.ASSIGNMENT_PHASE_OPEN]: "open",
  [WirePhase.ASSIGNMENT_PHASE_FINAL]: "final",
  [WirePhase.ASSIGNMENT_PHASE_ROLLBACK]: "rollback",
  [WirePhase.ASSIGNMENT_PHASE_FROZEN]: "frozen",
};

/** Throws INVALID_ARGUMENT unless an agent's hello is within the limits. */
export function checkHello(hello: AgentHello, region: string): void {
  checkId("agent", hello.agent);
  checkId("boot", hello.boot);
  if (hello.region !== region) {
    throw invalid(`region is "${hello.region}", this relay serves "${region}"`);
  }
  const labels = Object.entries(hello.labels);
  if (labels.length > LABELS_MAX) {
    throw invalid(`labels: ${labels.length} of them, the limit is ${LABELS_MAX}`);
  }
  for (const [name, value] of labels) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(name) || name.length > LABEL_NAME_MAX) {
      const rule = `letters, digits and . _ / -, at most ${LABEL_NAME_MAX}`;
      throw invalid(`labels: name ${shown(name)} must be ${rule}`);
    }
    checkLength(`labels.${name}`, value, LABEL_VALUE_MAX);
  }
  checkLength("version", hello.version, ID_MAX);
  checkLength("root", hello.root, TEXT_MAX);
  if (hello.services.length > SERVICES_MAX) {
    throw invalid(`services: ${hello.services.length} of them, the limit is ${SERVICES_MAX}`);
  }
  for (const status of hello.services) checkStatus(status);
  if (hello.relayBefore !== "") checkId("relay_before", hello.relayBefore);
  if (hello.swarmAddress !== "") checkAddress(hello.swarmAddress);
}

/** Throws INVALID_ARGUMENT unless a status is within the limits. */
export function checkStatus(status: ServiceStatus): void {
  checkId("service", status.service);
  if (status.rollout !== "") checkId("rollout", status.rollout);
  for (const field of ["release", "running", "lastGood"] as const) {
    if (!/^([0-9a-f]{64})?$/.test(status[field])) {
      throw invalid(`${field} ${shown(status[field])} is not 64 hex digits`);
    }
  }
  checkLength("permit", status.permit, 4 * ID_MAX);
  if (PHASES[status.phase] === undefined) throw invalid(`phase ${status.phase} is unknown`);
}

/** Throws INVALID_ARGUMENT unless the text can name a pack. */
export function checkPack(pack: string): void {
  checkId("pack", pack);
}

/** A status with what it says of errors cut to what a report can carry. */
export function bounded(status: ServiceStatus): ServiceStatus {
  if (status.error.length <= ERROR_MAX) return status;
  return { ...status, error: `${status.error.slice(0, ERROR_MAX)}…` };
}

/** A checked status as the permit desk sees it. */
export function standingOf(status: ServiceStatus): Standing {
  const { rollout, running, permit, error, missingBytes } = status;
  const { relay = 0, peer = 0, local = 0 } = status.bytes ?? {};
  const phase = PHASES[status.phase] as ServicePhase;
  return { rollout, running, phase, permit, error, bytes: { relay, peer, local }, missingBytes };
}

/** An assignment as the permit desk sees it; a phase that is unknown here permits nothing. */
export function deskAssignmentOf(assignment: Assignment): DeskAssignment {
  const { epoch, revision, paused } = assignment;
  return {
    epoch,
    revision,
    paused,
    phase: ASSIGNMENT_PHASES[assignment.phase] ?? "frozen",
    release: assignment.release?.release ?? "",
    fallback: assignment.fallback?.release ?? "",
    waves: assignment.waves.map(waveRuleOf),
    answerMs: answerMsOf(assignment),
    isQuick: isQuick(assignment.release),
  };
}

/** Whether a machine fetches and writes a release in less time than a round of messages takes; none is nothing to fetch. */
export function isQuick(release: Release | undefined): boolean {
  if (release === undefined) return true;
  return release.bytes <= QUICK_BYTES_MAX && release.entries <= QUICK_ENTRIES_MAX;
}

/** How long a machine may take from the beginning of a switch to its answer. */
export function answerMsOf(assignment: Assignment): number {
  const activation = assignment.release?.activation;
  const withinMs = activation?.health?.withinMs || HEALTH_WITHIN_MS_DEFAULT;
  return withinMs + (activation?.drainMs || DRAIN_MS_DEFAULT) + ANSWER_GRACE_MS;
}

/** Whom an assignment or an order is for. */
export function targetsOf(rule: {
  readonly targets: { readonly [key: string]: string };
  readonly excludedRegions: readonly string[];
}): Targets {
  return { labels: rule.targets, excludedRegions: rule.excludedRegions };
}

function waveRuleOf({ threshold, regions, labels }: WaveRule): WaveRule {
  return { threshold, regions, labels };
}

function checkId(field: string, value: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(value) && value.length <= ID_MAX) return;
  throw invalid(
    `${field} ${shown(value)} must be 1 to ${ID_MAX} letters, digits and . _ -, ` +
      "and begin with a letter or digit",
  );
}

function checkLength(field: string, value: string, max: number): void {
  if (value.length > max) {
    throw invalid(`${field} ${shown(value)} has ${value.length} characters, the limit is ${max}`);
  }
}

function checkAddress(address: string): void {
  checkLength("swarm_address", address, LABEL_VALUE_MAX);
  try {
    parseAddress(address);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    throw invalid(`swarm_address: ${error.message}`);
  }
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
