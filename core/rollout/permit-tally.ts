// Sums up one relay's machines of one rollout, as its report tells them: exact counts at one moment.
// Each machine is in exactly one of the six counts by state; `toRevert` cuts across them.
import type { Member, PermitDesk } from "./permit-desk.ts";
import type { DeskAssignment } from "./permit-facts.ts";
import type { PermitCounts } from "./permit-ledger.ts";

/** A machine that failed, and how. */
export interface FailingMember {
  readonly agentId: string;
  readonly region: string;
  readonly error: string;
}

/** Counts of one wave; permits are those of `epoch`. */
export interface DeskWave extends PermitCounts {
  readonly wave: number;
  readonly epoch: number;
  readonly members: number;
  readonly healthy: number;
}

/** Counts of one rollout; fetching to reverted add up to matching. */
export interface DeskTally {
  /** The desk hands out no more permits. */
  readonly isClosed: boolean;
  readonly matching: number;
  /** Of these: broke off a moment ago. */
  readonly away: number;
  readonly fetching: number;
  /** Of these: in a wave, and would take a permit now. */
  readonly early: number;
  readonly staged: number;
  readonly activating: number;
  readonly active: number;
  readonly failed: number;
  readonly reverted: number;
  readonly toRevert: number;
  readonly waves: readonly DeskWave[];
  readonly bytes: { readonly relay: number; readonly peer: number; readonly local: number };
  readonly missingBytes: number;
  readonly failing: readonly FailingMember[];
}

/** Where a machine stands in a rollout. */
type Place = "fetching" | "staged" | "activating" | "active" | "failed" | "reverted";

/** Counts the desk's machines; names at most `failingMax` of those that fail. */
export function tallyOf(desk: PermitDesk, failingMax: number): DeskTally {
  const { assignment, rollout } = desk;
  const places = { fetching: 0, staged: 0, activating: 0, active: 0, failed: 0, reverted: 0 };
  const bytes = { relay: 0, peer: 0, local: 0 };
  const failing: FailingMember[] = [];
  const membersOf: number[] = [];
  const healthyOf: number[] = [];
  let toRevert = 0;
  let away = 0;
  let early = 0;
  let missingBytes = 0;
  for (const member of desk.members.values()) {
    const { standing, wave, candidate } = member;
    const place = placeOf(desk, member);
    if (member.away) away += 1;
    places[place] += 1;
    if (place === "fetching" && desk.isEarly(member)) early += 1;
    if (wave !== undefined) {
      membersOf[wave] = (membersOf[wave] ?? 0) + 1;
      if (place === "active") healthyOf[wave] = (healthyOf[wave] ?? 0) + 1;
    }
    if (mustRevert(member, rollout, assignment)) toRevert += 1;
    const error = failureOf(desk, member, place);
    if (error !== undefined && failing.length < failingMax) {
      failing.push({ agentId: candidate.agentId, region: candidate.region, error });
    }
    if (standing?.rollout !== rollout) continue;
    bytes.relay += standing.bytes.relay;
    bytes.peer += standing.bytes.peer;
    bytes.local += standing.bytes.local;
    missingBytes += standing.missingBytes;
  }
  const waves = wavesOf(desk, membersOf, healthyOf);
  const { isClosed } = desk;
  const sums = {
    matching: desk.members.size,
    away,
    ...places,
    early,
    toRevert,
    bytes,
    missingBytes,
  };
  return { isClosed, ...sums, waves, failing };
}

function wavesOf(
  desk: PermitDesk,
  membersOf: readonly number[],
  healthyOf: readonly number[],
): DeskWave[] {
  const count = Math.max(desk.assignment?.waves.length ?? 0, ...waveEnds(desk));
  const waves: DeskWave[] = [];
  let members = 0;
  let healthy = 0;
  for (let wave = 0; wave < count; wave += 1) {
    members += membersOf[wave] ?? 0;
    healthy += healthyOf[wave] ?? 0;
    // The newest leader's counts; until it has granted anything, those of the one before.
    const granted = desk.quotas.get(wave)?.epoch ?? -1;
    const known = Math.max(granted, desk.ledger.epochOf(wave) ?? -1);
    const epoch = known === -1 ? (desk.assignment?.epoch ?? 0) : known;
    waves.push({ wave, epoch, members, healthy, ...desk.ledger.counts(epoch, wave) });
  }
  return waves;
}

function waveEnds(desk: PermitDesk): number[] {
  return [...desk.quotas.keys()].map((wave) => wave + 1);
}

function placeOf(desk: PermitDesk, { candidate, standing }: Member): Place {
  if (standing === undefined || standing.rollout !== desk.rollout) return "fetching";
  const { assignment } = desk;
  switch (standing.phase) {
    case "fetching":
    case "staging":
      return "fetching";
    case "staged":
      return desk.ledger.holds(candidate.agentId) ? "activating" : "staged";
    case "activating":
    case "checking":
      return "activating";
    case "active":
      // One that was healthy and is not any more says why.
      if (standing.running === assignment?.release) return standing.error ? "failed" : "active";
      return assignment?.phase === "rollback" ? "reverted" : "fetching";
    case "failed":
      return "failed";
    case "reverting":
      return assignment?.phase === "open" ? "failed" : "activating";
    case "reverted":
      return "reverted";
    case "stopped":
      return assignment?.release === "" ? "active" : "reverted";
    default:
      return standing.phase satisfies never;
  }
}

/** Whether a roll-back still waits for this machine. */
function mustRevert(
  { standing }: Member,
  rollout: string,
  assignment: DeskAssignment | undefined,
): boolean {
  if (standing === undefined || standing.rollout !== rollout) return false;
  switch (standing.phase) {
    case "activating":
    case "checking":
    case "reverting":
      return true;
    case "active":
    case "failed":
      return (
        standing.running !== "" &&
        standing.running === assignment?.release &&
        standing.running !== assignment.fallback
      );
    case "fetching":
    case "staging":
    case "staged":
    case "reverted":
    case "stopped":
      return false;
    default:
      return standing.phase satisfies never;
  }
}

/** What a failing machine is shown with. */
function failureOf(desk: PermitDesk, { candidate, standing }: Member, place: Place) {
  const said = standing?.rollout === desk.rollout ? standing.error : "";
  if (place === "failed") return said === "" ? "failed without saying why" : said;
  // One that cannot get it on its disk tries on, and says what it waits for.
  if (place === "reverted" || place === "fetching") return said === "" ? undefined : said;
  const permit = desk.ledger.of(candidate.agentId);
  return permit?.unanswered === true && place !== "active"
    ? "has not answered in time after it was let activate"
    : undefined;
}
