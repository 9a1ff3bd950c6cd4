// All permit desks of one relay, one for each rollout that its machines take part in: which desk a machine stands
// at, when one that broke off or is another relay's is gone, what becomes of quotas that come before their assignment.
// Who gets a permit is the desk's business; keeping and sending are the relay's.
import { isLater, type SessionOrder } from "../fleet/session-order.ts";
import type { Instant, Machine } from "../machine.ts";
import { type Claim, type MoveEffect, type MoveInput, Newcomers } from "./newcomers.ts";
import { PermitDesk } from "./permit-desk.ts";
import type { DeskAssignment, DeskEffect, DeskInput, Standing } from "./permit-facts.ts";
import type { KeptPermit } from "./permit-ledger.ts";
import { areSame, type Candidate, isTarget, type Targets } from "./targets.ts";

/**
 * An agent that is started again is back within two seconds. Without this, a rollout whose machines all
 * start again would go on without them, and bring them the release later without a gate.
 */
export const AWAY_MS = 5_000;

/** One rule of a service, as its desk sees it. */
export interface DeskRule {
  readonly rollout: string;
  readonly targets: Targets;
  readonly assignment: DeskAssignment;
}

export type DesksInput =
  /** The rules of a service, newest first; none: it has no assignment any more. */
  | { readonly kind: "assigned"; readonly service: string; readonly rules: readonly DeskRule[] }
  /** A machine has come, with what it says of each service. */
  | {
      readonly kind: "joined";
      readonly candidate: Candidate;
      readonly session: SessionOrder;
      /** The relay that welcomed it last since it was started; left out: none, or it does not say. */
      readonly from?: string | undefined;
      readonly standings: ReadonlyMap<string, Standing>;
      /** It keeps permits that come before their release is staged. */
      readonly takesEarly?: boolean;
    }
  | {
      readonly kind: "heard";
      readonly agentId: string;
      readonly service: string;
      readonly standing: Standing;
    }
  /** A machine is offline; it may be back in a moment. */
  | { readonly kind: "gone"; readonly agentId: string }
  | MoveInput
  | { readonly kind: "led"; readonly epoch: number; readonly until: Instant }
  | ({ readonly rollout: string } & Extract<DeskInput, { kind: "granted" }>)
  /** All that a leader has to say at first is said. */
  | { readonly kind: "snapshot-ended" }
  /** The relay is ending: no desk hands out anything any more, also none that is opened later. */
  | { readonly kind: "closed" }
  | { readonly kind: "wake" };

export type DesksEffect =
  | ({ readonly rollout: string } & DeskEffect)
  /** What was kept of the rollout is needed no more. */
  | { readonly kind: "forget"; readonly rollout: string }
  | MoveEffect
  /** A permit has ended, or a machine has gone, without a word of it. */
  | { readonly kind: "changed" };

interface Agent {
  readonly candidate: Candidate;
  readonly session: SessionOrder;
  readonly standings: Map<string, Standing>;
  readonly takesEarly: boolean;
  /** It broke off, and counts as a machine that says nothing until then; undefined: it is here. */
  awayUntil: Instant | undefined;
}

interface Entry {
  readonly service: string;
  readonly desk: PermitDesk;
}

/** The desks of all rollouts. */
export class RelayDesks implements Machine<DesksInput, DesksEffect> {
  readonly #relayId: string;
  readonly #desks = new Map<string, Entry>();
  readonly #rules = new Map<string, readonly DeskRule[]>();
  readonly #agents = new Map<string, Agent>();
  readonly #kept: Map<string, readonly KeptPermit[]>;
  /** Quotas of rollouts whose assignment has not come yet. */
  readonly #early = new Map<string, Extract<DesksInput, { kind: "granted" }>[]>();
  readonly #newcomers = new Newcomers();
  #led: { readonly epoch: number; readonly until: Instant } | undefined;
  #awayCount = 0;
  #isClosed = false;
  deadline: Instant = Number.POSITIVE_INFINITY;

  /** `kept`: permits by rollout from before a restart. */
  constructor(relayId: string, kept: ReadonlyMap<string, readonly KeptPermit[]>) {
    this.#relayId = relayId;
    this.#kept = new Map(kept);
  }

  /** Open desks by rollout. */
  *desks(): Generator<PermitDesk, void, void> {
    for (const { desk } of this.#desks.values()) yield desk;
  }

  desk(rollout: string): PermitDesk | undefined {
    return this.#desks.get(rollout)?.desk;
  }

  /** Whether some permit is out. */
  get isAnyOut(): boolean {
    for (const { desk } of this.#desks.values()) if (desk.ledger.isAnyOpen) return true;
    return false;
  }

  /** Machines that are connected, or broke off a moment ago. */
  *machines(): Generator<Candidate, void, void> {
    for (const { candidate } of this.#agents.values()) yield candidate;
  }

  /** Whether a machine is on its way from one relay to another, so that both may count it. */
  isAway(agentId: string): boolean {
    const brokeOff = this.#agents.get(agentId)?.awayUntil !== undefined;
    return brokeOff || this.#newcomers.isMoving(agentId);
  }

  step(now: Instant, input: DesksInput, effects: DesksEffect[]): void {
    switch (input.kind) {
      case "assigned":
        this.#assign(now, input.service, input.rules, effects);
        break;
      case "joined":
        this.#join(now, input, effects);
        break;
      case "heard": {
        const agent = this.#agents.get(input.agentId);
        agent?.standings.set(input.service, input.standing);
        if (agent !== undefined) this.#stand(now, agent, input.service, false, effects);
        break;
      }
      case "gone":
        this.#leave(now, input.agentId, effects);
        break;
      case "siblings":
        this.#newcomers.siblings(input.relays);
        this.#lookAtNewcomers(now, effects);
        break;
      case "linked":
        effects.push(...this.#newcomers.linked(input.relay));
        break;
      case "claimed":
        this.#claimed(now, input.relay, input.claim, effects);
        break;
      case "ceded":
        // What the leader knows of that relay may be as old as what it knows of one that broke off there.
        this.#newcomers.ceded(now, input.relay, input.claim, AWAY_MS);
        break;
      case "led":
        this.#led = input;
        for (const entry of this.#desks.values()) this.#step(now, entry, input, effects);
        break;
      case "granted":
        this.#grant(now, input, effects);
        break;
      case "snapshot-ended":
        this.#early.clear();
        for (const rollout of this.#kept.keys()) effects.push({ kind: "forget", rollout });
        this.#kept.clear();
        break;
      case "closed":
        this.#isClosed = true;
        for (const entry of this.#desks.values()) this.#step(now, entry, input, effects);
        break;
      case "wake":
        this.#wake(now, effects);
        break;
      default:
        input satisfies never;
    }
    this.deadline = Math.min(this.deadline, this.#newcomers.deadline);
  }

  #assign(now: Instant, service: string, rules: readonly DeskRule[], effects: DesksEffect[]): void {
    const wanted = new Set(rules.map(({ rollout }) => rollout));
    for (const [rollout, entry] of [...this.#desks]) {
      if (entry.service !== service || wanted.has(rollout)) continue;
      this.#desks.delete(rollout);
      effects.push({ kind: "forget", rollout });
    }
    const before = this.#rules.get(service) ?? [];
    if (rules.length === 0) this.#rules.delete(service);
    else this.#rules.set(service, rules);
    for (const { rollout, assignment } of rules) {
      const entry = this.#desks.get(rollout) ?? this.#open(now, service, rollout, assignment);
      this.#step(now, entry, { kind: "assigned", assignment }, effects);
    }
    if (!meanTheSame(rules, before)) {
      for (const agent of this.#agents.values()) this.#stand(now, agent, service, false, effects);
    }
    for (const rollout of wanted) {
      const quotas = this.#early.get(rollout) ?? [];
      this.#early.delete(rollout);
      for (const quota of quotas) this.#grant(now, quota, effects);
    }
  }

  #open(now: Instant, service: string, rollout: string, { answerMs }: DeskAssignment): Entry {
    const kept = this.#kept.get(rollout) ?? [];
    this.#kept.delete(rollout);
    // A machine takes a known id for a repeat: ids of an earlier rollout must not come again.
    const prefix = `${this.#relayId}.${rollout}`;
    const entry = { service, desk: new PermitDesk(rollout, prefix, kept, now, answerMs) };
    this.#desks.set(rollout, entry);
    if (this.#led !== undefined) this.#step(now, entry, { kind: "led", ...this.#led }, []);
    if (this.#isClosed) this.#step(now, entry, { kind: "closed" }, []);
    return entry;
  }

  #join(
    now: Instant,
    {
      candidate,
      session,
      from,
      standings,
      takesEarly = false,
    }: Extract<DesksInput, { kind: "joined" }>,
    effects: DesksEffect[],
  ): void {
    const { agentId } = candidate;
    const before = this.#agents.get(agentId);
    if (before?.awayUntil !== undefined) this.#awayCount -= 1;
    const known = new Map(standings);
    const agent = { candidate, session, standings: known, takesEarly, awayUntil: undefined };
    this.#agents.set(agentId, agent);
    const claim = { agentId, session };
    const isFromElsewhere = from !== undefined && from !== this.#relayId;
    const claims = isFromElsewhere
      ? this.#newcomers.came(now, claim, from)
      : this.#newcomers.cameAgain(now, claim);
    effects.push(...claims);
    for (const service of this.#rules.keys()) this.#stand(now, agent, service, true, effects);
  }

  #leave(now: Instant, agentId: string, effects: DesksEffect[]): void {
    const agent = this.#agents.get(agentId);
    if (agent === undefined) return;
    if (agent.awayUntil === undefined) this.#awayCount += 1;
    agent.awayUntil = now + AWAY_MS;
    this.deadline = Math.min(this.deadline, agent.awayUntil);
    for (const service of this.#rules.keys()) this.#stand(now, agent, service, false, effects);
  }

  /** Of two sessions of a machine the later one holds, whichever relay it leads to. */
  #claimed(now: Instant, relay: string, claim: Claim, effects: DesksEffect[]): void {
    const { agentId, session } = claim;
    const agent = this.#agents.get(agentId);
    if (agent !== undefined && isLater(agent.session, session)) {
      // It has come here from there meanwhile.
      effects.push(...this.#newcomers.came(now, { agentId, session: agent.session }, relay));
      this.#standAnew(now, agent, effects);
      return;
    }
    if (agent !== undefined) {
      effects.push({ kind: "let", agentId });
      if (agent.awayUntil !== undefined) this.#awayCount -= 1;
      this.#forget(now, agentId, effects);
    }
    // The one that it had come from may count it still, and knows nothing of its third.
    if (!this.#newcomers.isMoving(agentId)) effects.push({ kind: "cede", relay, claim });
  }

  #lookAtNewcomers(now: Instant, effects: DesksEffect[]): void {
    for (const agentId of this.#newcomers.look(now)) {
      const agent = this.#agents.get(agentId);
      if (agent !== undefined) this.#standAnew(now, agent, effects);
    }
  }

  /** It counts as something else, though nothing was heard of it. */
  #standAnew(now: Instant, agent: Agent, effects: DesksEffect[]): void {
    for (const service of this.#rules.keys()) this.#stand(now, agent, service, false, effects);
    effects.push({ kind: "changed" });
  }

  #grant(
    now: Instant,
    granted: Extract<DesksInput, { kind: "granted" }>,
    effects: DesksEffect[],
  ): void {
    const { rollout } = granted;
    const entry = this.#desks.get(rollout);
    if (entry !== undefined) this.#step(now, entry, granted, effects);
    else this.#early.set(rollout, [...(this.#early.get(rollout) ?? []), granted]);
  }

  /** Tells a service's desks how a machine stands: the one whose rule is its own, and no other. */
  #stand(
    now: Instant,
    { candidate, standings, takesEarly, awayUntil }: Agent,
    service: string,
    connected: boolean,
    effects: DesksEffect[],
  ): void {
    const rules = this.#rules.get(service) ?? [];
    const own = rules.find(({ targets }) => isTarget(candidate, targets))?.rollout;
    const standing = awayUntil === undefined ? standings.get(service) : undefined;
    for (const { rollout } of rules) {
      const entry = this.#desks.get(rollout);
      if (entry === undefined) continue;
      if (rollout === own) {
        const away = awayUntil !== undefined;
        const moving = this.#newcomers.isMoving(candidate.agentId);
        const how = { connected, away, moving, takesEarly };
        this.#step(now, entry, { kind: "stood", candidate, standing, ...how }, effects);
      } else this.#let(now, entry, candidate.agentId, effects);
    }
  }

  #let(now: Instant, entry: Entry, agentId: string, effects: DesksEffect[]): void {
    if (!entry.desk.members.has(agentId)) return;
    this.#step(now, entry, { kind: "gone", agentId }, effects);
  }

  #wake(now: Instant, effects: DesksEffect[]): void {
    this.deadline = Number.POSITIVE_INFINITY;
    if (this.#awayCount > 0) this.#forgetAway(now, effects);
    if (this.#newcomers.deadline <= now) this.#lookAtNewcomers(now, effects);
    for (const entry of this.#desks.values()) {
      if (entry.desk.deadline <= now) this.#step(now, entry, { kind: "wake" }, effects);
      this.deadline = Math.min(this.deadline, entry.desk.deadline);
    }
  }

  #forgetAway(now: Instant, effects: DesksEffect[]): void {
    for (const [agentId, { awayUntil }] of this.#agents) {
      if (awayUntil === undefined) continue;
      if (awayUntil > now) {
        this.deadline = Math.min(this.deadline, awayUntil);
        continue;
      }
      this.#awayCount -= 1;
      this.#forget(now, agentId, effects);
    }
  }

  /** It is no machine of this relay any more. */
  #forget(now: Instant, agentId: string, effects: DesksEffect[]): void {
    this.#agents.delete(agentId);
    for (const entry of this.#desks.values()) this.#let(now, entry, agentId, effects);
    effects.push({ kind: "changed" });
  }

  #step(now: Instant, { desk }: Entry, input: DeskInput, effects: DesksEffect[]): void {
    const { rollout } = desk;
    const own: DeskEffect[] = [];
    desk.step(now, input, own);
    for (const effect of own) {
      effects.push({ ...effect, rollout });
      if (effect.kind === "note") effects.push({ kind: "changed" });
    }
    this.deadline = Math.min(this.deadline, desk.deadline);
  }
}

/**
 * Whether each machine stands at the same desk under both, and its word means the same there: a wave that was drawn,
 * which the desk sees by itself, changes neither.
 */
function meanTheSame(rules: readonly DeskRule[], before: readonly DeskRule[]): boolean {
  return (
    rules.length === before.length &&
    rules.every((rule, index) => {
      const { rollout, targets, assignment } = before[index] as DeskRule;
      return (
        rule.rollout === rollout &&
        rule.assignment.phase === assignment.phase &&
        rule.assignment.release === assignment.release &&
        areSame(rule.targets, targets)
      );
    })
  );
}
