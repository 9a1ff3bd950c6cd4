// Hands out a relay's permits of one rollout, never more than the leader granted, and follows each to
// its end. Quotas are decided by the leader; sending and keeping are the relay's business.
import type { Instant, Machine } from "../machine.ts";
import { MemberSums } from "./member-sums.ts";
import type { DeskAssignment, DeskEffect, DeskInput, Standing } from "./permit-facts.ts";
import { type KeptPermit, type Permit, PermitLedger, type PermitState } from "./permit-ledger.ts";
import { type Candidate, waveOf } from "./targets.ts";
import { waveHash } from "./wave-hash.ts";

/** An agent counts a permit's time from its receipt; its word takes a way back, too. */
const BEGIN_GRACE_MS = 2_000;

/** A machine of the rollout that is online. */
export interface Member {
  readonly candidate: Candidate;
  readonly hash: number;
  readonly standing: Standing | undefined;
  /** First wave it is in; undefined: none yet. */
  readonly wave: number | undefined;
  readonly away: boolean;
  readonly moving: boolean;
  /** It keeps a permit that comes before the release is staged. */
  readonly takesEarly: boolean;
}

/**
 * Permits that may have been handed out in one (epoch, wave), until their time runs out; `together` of
 * them may be out or have failed.
 */
export interface Quota {
  readonly epoch: number;
  readonly quota: number;
  readonly together: number;
  readonly ttlMs: number;
  readonly until: Instant;
}

/** One relay's desk for one rollout. */
export class PermitDesk implements Machine<DeskInput, DeskEffect> {
  readonly rollout: string;
  readonly ledger = new PermitLedger();
  /** Sums over members as `permit-tally.ts` counted them last, and those who may count as something else by now. */
  readonly sums = new MemberSums();
  readonly changed = new Set<string>();
  readonly #idPrefix: string;
  readonly #members = new Map<string, Member>();
  readonly #quotas = new Map<number, Quota>();
  /** Members that may get a permit under an epoch, the next one last; undefined: to be made anew. */
  #line: { readonly epoch: number; readonly members: Member[] } | undefined;
  #assignment: DeskAssignment | undefined;
  #leader: { epoch: number; until: Instant } = { epoch: -1, until: Number.NEGATIVE_INFINITY };
  /** Something changed that may let a permit be handed out; looked at once for many facts. */
  #isDue = false;
  #isClosed = false;
  deadline: Instant = Number.POSITIVE_INFINITY;

  /** `idPrefix` tells permits of this relay and rollout from all others; `kept` are those from before a restart. */
  constructor(
    rollout: string,
    idPrefix: string,
    kept: readonly KeptPermit[],
    now: Instant,
    answerMs: number,
  ) {
    this.rollout = rollout;
    this.#idPrefix = idPrefix;
    for (const permit of kept) {
      const beginBy = now + permit.ttlMs + BEGIN_GRACE_MS;
      this.ledger.enter(permit, beginBy, now + permit.ttlMs + answerMs);
    }
    this.deadline = this.ledger.soonest;
  }

  get assignment(): DeskAssignment | undefined {
    return this.#assignment;
  }

  get members(): ReadonlyMap<string, Member> {
    return this.#members;
  }

  get quotas(): ReadonlyMap<number, Quota> {
    return this.#quotas;
  }

  /** Whether the relay is ending, so that nothing is handed out any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  step(now: Instant, input: DeskInput, effects: DeskEffect[]): void {
    switch (input.kind) {
      case "assigned":
        this.#assign(input.assignment);
        break;
      case "granted":
        this.#grant(now, input);
        break;
      case "led":
        if (input.epoch >= this.#leader.epoch) this.#leader = input;
        this.#isDue = true;
        break;
      case "stood":
        this.#stand(now, input, effects);
        break;
      case "gone":
        this.#members.delete(input.agentId);
        this.changed.add(input.agentId);
        break;
      case "closed":
        this.#isClosed = true;
        break;
      case "wake":
        this.#handOut(now, effects);
        break;
      default:
        input satisfies never;
    }
    this.#expire(now, effects);
    this.deadline = this.#isDue && this.#mayHandOut(now) ? now : this.ledger.soonest;
  }

  #assign(assignment: DeskAssignment): void {
    this.#assignment = assignment;
    for (const [agentId, member] of this.#members) {
      const wave = waveOf(member.candidate, member.hash, assignment.waves);
      if (wave !== member.wave) this.#members.set(agentId, { ...member, wave });
      this.changed.add(agentId);
    }
    this.#line = undefined;
    this.#isDue = true;
  }

  #grant(now: Instant, granted: Extract<DeskInput, { kind: "granted" }>): void {
    const { epoch, wave, quota, ttlMs } = granted;
    const before = this.#quotas.get(wave);
    if (before !== undefined && before.epoch > epoch) return;
    // Messages may be repeated or late, and a quota never shrinks within its epoch, as long as it lives. How many
    // may be out goes with the highest one; said again, it never shrinks either.
    const isSame = before?.epoch === epoch && now < before.until;
    let { together } = granted;
    if (isSame && before.quota > quota) together = before.together;
    else if (isSame && before.quota === quota) together = Math.max(before.together, together);
    const most = isSame ? Math.max(before.quota, quota) : quota;
    this.#quotas.set(wave, { epoch, quota: most, together, ttlMs, until: now + ttlMs });
    this.#isDue = true;
  }

  #stand(now: Instant, input: Extract<DeskInput, { kind: "stood" }>, effects: DeskEffect[]): void {
    const { candidate, standing, connected } = input;
    const { away = false, moving = false, takesEarly = false } = input;
    const known = this.#members.get(candidate.agentId);
    const hash = known?.hash ?? waveHash(candidate.agentId, this.rollout);
    // Waves of members are looked at anew where the assignment changes.
    const isSame = known?.candidate === candidate;
    const wave = isSame ? known.wave : waveOf(candidate, hash, this.#assignment?.waves ?? []);
    const member = { candidate, hash, standing, wave, away, moving, takesEarly };
    this.#members.set(candidate.agentId, member);
    this.changed.add(candidate.agentId);
    // It stands in the line as it was known before.
    const mustStandAnew = connected || known?.moving === !moving;
    if (standing?.phase === "staged" || (mustStandAnew && this.isEarly(member))) {
      this.#line = undefined;
    }
    this.#isDue = true;
    const permit = this.ledger.of(candidate.agentId);
    if (permit === undefined) return;
    const state = heard(permit, standing, this.rollout, this.#assignment);
    if (state !== permit.state) this.#move(permit, state, effects);
    const ttlMs = permit.beginBy - BEGIN_GRACE_MS - now;
    const isCurrent = permit.state === "sent" && permit.epoch === this.#leader.epoch;
    if (connected && isCurrent && ttlMs > 0 && this.#mayHandOut(now)) {
      effects.push({ kind: "send", permit: kept(permit), ttlMs });
    }
  }

  #move(permit: Permit, state: PermitState, effects: DeskEffect[]): void {
    this.ledger.move(permit, state);
    this.changed.add(permit.agentId);
    if (state === "returned" || state === "failed") this.#line = undefined;
    this.#isDue = true;
    effects.push({ kind: "note", permit: kept(permit) });
  }

  #expire(now: Instant, effects: DeskEffect[]): void {
    for (const permit of this.ledger.expired(now)) {
      permit.unanswered = permit.state === "begun";
      this.#move(permit, permit.unanswered ? "failed" : "returned", effects);
    }
  }

  /** Whether permits may be handed out at all; the end of the relay, pausing and silence of the leader let them run out. */
  #mayHandOut(now: Instant): boolean {
    const assignment = this.#assignment;
    if (this.#isClosed || assignment?.phase !== "open" || assignment.paused) return false;
    return now < this.#leader.until;
  }

  #handOut(now: Instant, effects: DeskEffect[]): void {
    this.#isDue = false;
    const assignment = this.#assignment;
    if (assignment === undefined || !this.#mayHandOut(now)) return;
    for (const [wave, quota] of [...this.#quotas].sort(([a], [b]) => a - b)) {
      if (quota.epoch !== this.#leader.epoch || now >= quota.until) continue;
      const { granted, outstanding, failed } = this.ledger.counts(quota.epoch, wave);
      let room = Math.min(quota.quota - granted, quota.together - outstanding - failed);
      for (; room > 0; room -= 1) {
        const member = this.#next(quota.epoch, wave);
        if (member === undefined) break;
        this.#issue(now, member.candidate.agentId, wave, quota, assignment.answerMs, effects);
      }
    }
  }

  /** Takes the next member of a wave, or of one before it, from the line. */
  #next(epoch: number, wave: number): Member | undefined {
    if (this.#line?.epoch !== epoch) this.#line = { epoch, members: this.#waiting(epoch) };
    const { members } = this.#line;
    for (let member = members.at(-1); member !== undefined; member = members.at(-1)) {
      const isHere = this.#members.get(member.candidate.agentId) === member;
      if (isHere && (member.wave as number) > wave) return undefined;
      members.pop();
      // One that has said something since is staged no longer, or the line was made anew.
      if (isHere) return member;
    }
    return undefined;
  }

  /**
   * Whether a member that is in a wave may get its first permit now, though it is not staged: it begins as soon as it
   * is. One that let its time run out has to be staged first, or machines that never are would hold permits for ever.
   */
  isEarly({ candidate, standing, wave, away, takesEarly }: Member): boolean {
    if (!takesEarly || away || wave === undefined || this.#assignment?.isQuick !== true)
      return false;
    if (this.ledger.of(candidate.agentId) !== undefined) return false;
    if (standing?.rollout !== this.rollout) return !isSwitching(standing);
    return standing.phase === "fetching" || standing.phase === "staging";
  }

  /**
   * Members that may get a permit, the one whose turn is first last: lowest wave, staged, lowest hash.
   */
  #waiting(epoch: number): Member[] {
    const isStaged = ({ standing }: Member): boolean =>
      standing?.phase === "staged" && standing.rollout === this.rollout;
    const waiting = [...this.#members.values()].filter((member) => {
      const { candidate, wave } = member;
      if (wave === undefined) return false;
      if (!isStaged(member)) return this.isEarly(member);
      const last = this.ledger.of(candidate.agentId);
      // One that ran out unused may be replaced; one that was used is the last of its epoch.
      if (last === undefined || last.state === "returned") return true;
      return !this.ledger.holds(candidate.agentId) && last.epoch < epoch;
    });
    return waiting.sort(
      (a, b) =>
        Number(b.wave) - Number(a.wave) ||
        Number(isStaged(a)) - Number(isStaged(b)) ||
        b.hash - a.hash,
    );
  }

  #issue(
    now: Instant,
    agentId: string,
    wave: number,
    { epoch, ttlMs }: Quota,
    answerMs: number,
    effects: DeskEffect[],
  ): void {
    const id = `${this.#idPrefix}.${epoch}.${wave}.${this.ledger.issued}`;
    const permit: KeptPermit = { id, agentId, epoch, wave, ttlMs, state: "sent" };
    this.ledger.enter(permit, now + ttlMs + BEGIN_GRACE_MS, now + ttlMs + answerMs);
    this.changed.add(agentId);
    effects.push({ kind: "keep", permit }, { kind: "send", permit, ttlMs });
  }
}

/** Whether a machine is at something else that ends by itself. */
function isSwitching(standing: Standing | undefined): boolean {
  const phase = standing?.phase;
  return phase === "activating" || phase === "checking" || phase === "reverting";
}

/** What becomes of a permit by what its machine says; an answer that never came stays a failure. */
function heard(
  permit: Permit,
  standing: Standing | undefined,
  rollout: string,
  assignment: DeskAssignment | undefined,
): PermitState {
  const { state } = permit;
  if (standing === undefined || standing.rollout !== rollout || state === "failed") return state;
  // What it does under another relay's permit, or did without one, says nothing of this one.
  if (standing.permit !== permit.id && (standing.permit !== "" || state === "returned")) {
    return state;
  }
  const isOpen = assignment?.phase === "open";
  switch (standing.phase) {
    case "fetching":
    case "staging":
    case "staged":
      // It has lost what it had, as where it was replaced by an empty one: it needs another permit.
      return state === "succeeded" ? "returned" : state;
    case "activating":
    case "checking":
      return state === "succeeded" ? state : "begun";
    case "active":
      return standing.running === assignment?.release ? "succeeded" : state;
    case "stopped":
      return assignment?.release === "" ? "succeeded" : state;
    case "failed":
      return isOpen || state !== "succeeded" ? "failed" : state;
    case "reverting":
    case "reverted":
      // A roll-back by order says nothing against the machine.
      if (isOpen) return "failed";
      return state === "succeeded" ? state : "returned";
    default:
      return standing.phase satisfies never;
  }
}

function kept({ id, agentId, epoch, wave, ttlMs, state }: Permit): KeptPermit {
  return { id, agentId, epoch, wave, ttlMs, state };
}
