// Sums up one relay's machines of one rollout, as its report tells them: exact counts at one moment.
// Each machine is in exactly one of the six counts by state; `toRevert` cuts across them.
import type { BytesBySource, FailingMember, MemberShare, Place } from "./member-sums.ts";
import type { Member, PermitDesk } from "./permit-desk.ts";
import type { DeskAssignment } from "./permit-facts.ts";
import type { PermitCounts } from "./permit-ledger.ts";

const NO_BYTES: BytesBySource = { relay: 0, peer: 0, local: 0 };

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
  /** Of these: broke off a moment ago, or came from a relay that may count them still. */
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
  readonly bytes: BytesBySource;
  readonly missingBytes: number;
  readonly failing: readonly FailingMember[];
}

/** Counts the desk's machines; names at most `failingMax` of those that fail, who failed first first. */
export function tallyOf(desk: PermitDesk, failingMax: number): DeskTally {
  const { isClosed, members, sums } = desk;
  for (const agentId of desk.changed) {
    const member = members.get(agentId);
    sums.count(agentId, member === undefined ? undefined : shareOf(desk, member));
  }
  desk.changed.clear();
  const { places, away, early, toRevert, missingBytes } = sums;
  return {
    ...{ isClosed, matching: members.size, away, ...places, early, toRevert, missingBytes },
    bytes: { ...sums.bytes },
    waves: wavesOf(desk, sums.membersOf, sums.healthyOf),
    failing: sums.failing.values().take(failingMax).toArray(),
  };
}

/** What a member counts as now: by what it said last, its permit, and the assignment. */
export function shareOf(desk: PermitDesk, member: Member): MemberShare {
  const { assignment, rollout } = desk;
  const { candidate, standing, wave, away, moving } = member;
  const { agentId, region } = candidate;
  const place = placeOf(desk, member);
  const error = failureOf(desk, member, place);
  const said = standing?.rollout === rollout ? standing : undefined;
  return {
    place,
    isAway: away || moving,
    isEarly: place === "fetching" && desk.isEarly(member),
    mustRevert: mustRevert(member, rollout, assignment),
    wave,
    failing: error === undefined ? undefined : { agentId, region, error },
    bytes: said?.bytes ?? NO_BYTES,
    missingBytes: said?.missingBytes ?? 0,
  };
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
      if (assignment?.release === "") return "active";
      // While it is open, one that has nothing running rests before it fetches, as after it could not go back.
      return assignment?.phase === "open" ? "fetching" : "reverted";
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
  if (place === "active") return undefined;
  return desk.ledger.of(candidate.agentId)?.unanswered === true
    ? "has not answered in time after it was let activate"
    : undefined;
}
