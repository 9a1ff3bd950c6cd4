// One permit desk for each rollout that this relay's machines take part in: feeds them with what agents
// and leader say, keeps permits before they are sent, and sends them. Who gets one is decided in core.
import type { Instant } from "../core/machine.ts";
import { PermitDesk } from "../core/rollout/permit-desk.ts";
import type { DeskEffect, DeskInput } from "../core/rollout/permit-facts.ts";
import type { KeptPermit } from "../core/rollout/permit-ledger.ts";
import type { Candidate } from "../core/rollout/targets.ts";
import type {
  Assignment,
  PermitQuota,
  ServiceAssignments,
} from "../proto/gen/millrace/v1/fleet.ts";
import { Driver, monotonicNow } from "../runtime/driver.ts";
import { failpoint } from "../runtime/failpoint.ts";
import type { Log } from "../runtime/log.ts";
import type { AgentSession } from "./agent-session.ts";
import type { AgentSessions } from "./agent-sessions.ts";
import type { AssignmentBook } from "./assignment-book.ts";
import type { PermitJournal } from "./permit-journal.ts";
import { answerMsOf, deskAssignmentOf, standingOf } from "./wire.ts";

export interface PermitDesksOptions {
  readonly relayId: string;
  readonly book: AssignmentBook;
  readonly sessions: AgentSessions;
  readonly journal: PermitJournal;
  readonly log: Log;
  /** A permit has ended without its machine having said something. */
  readonly onChange: () => void;
}

/**
 * An agent that is started again is back within two seconds. Without this, a rollout whose machines all
 * start again would go on without them, and bring them the release later without a gate.
 */
const AWAY_MS = 5_000;

/** A rollout's desk with what it serves. */
export interface OpenDesk {
  readonly desk: PermitDesk;
  readonly assignment: Assignment;
}

interface Entry extends OpenDesk {
  readonly driver: Driver<DeskInput, DeskEffect>;
  assignment: Assignment;
  /** Permits to be kept, then sent, all in one go. */
  keeping: KeptPermit[];
  sending: { readonly permit: KeptPermit; readonly ttlMs: number }[];
  isFlushing: boolean;
}

/** The desks of all rollouts. */
export class PermitDesks {
  readonly #options: PermitDesksOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #kept: Map<string, KeptPermit[]>;
  /** Quotas of rollouts whose assignment has not come yet. */
  readonly #early = new Map<string, PermitQuota[]>();
  /** Agents that broke off a moment ago; they count as machines that say nothing. */
  readonly #away = new Map<string, { session: AgentSession; timer: NodeJS.Timeout }>();
  #led: { readonly epoch: number; readonly until: Instant } | undefined;

  constructor(options: PermitDesksOptions) {
    this.#options = options;
    this.#kept = options.journal.read();
  }

  /** Open desks, the newest rollout of each service first. */
  all(): Iterable<OpenDesk> {
    return this.#entries.values();
  }

  /** Whether some permit is out. */
  get isAnyOut(): boolean {
    return [...this.#entries.values()].some(({ desk }) => desk.ledger.isAnyOpen);
  }

  /** Machines that are connected, or broke off a moment ago. */
  *machines(): Generator<Candidate, void, void> {
    for (const { candidate } of this.#options.sessions.all()) yield candidate;
    for (const { session } of this.#away.values()) yield session.candidate;
  }

  /** A service's assignments have changed: opens, feeds and closes its desks. */
  assigned(service: string, assignments: ServiceAssignments | undefined): void {
    const wanted = new Map(assignments?.assignments.map((one) => [one.rollout, one]));
    for (const [rollout, { assignment }] of [...this.#entries]) {
      if (assignment.service === service && !wanted.has(rollout)) this.#close(rollout);
    }
    for (const [rollout, assignment] of wanted) {
      const entry = this.#entries.get(rollout) ?? this.#open(assignment);
      entry.assignment = assignment;
      entry.driver.input({ kind: "assigned", assignment: deskAssignmentOf(assignment) });
    }
    for (const session of this.#options.sessions.all()) this.#stand(session, service, false);
    for (const { session } of this.#away.values()) this.#stand(session, service, false);
    for (const rollout of wanted.keys()) this.#takeEarly(rollout);
  }

  /** An agent has come. */
  joined(session: AgentSession): void {
    this.#back(session.id);
    for (const service of this.#options.book.services.keys()) this.#stand(session, service, true);
  }

  /** An agent has said something of a service. */
  heard(session: AgentSession, service: string): void {
    this.#stand(session, service, false);
  }

  /** An agent is offline; it may be back in a moment. */
  gone(session: AgentSession): void {
    this.#back(session.id);
    const timer = setTimeout(() => {
      this.#away.delete(session.id);
      this.#forget(session);
      this.#options.onChange();
    }, AWAY_MS);
    this.#away.set(session.id, { session, timer });
    for (const service of this.#options.book.services.keys()) this.#stand(session, service, false);
  }

  /** The leader lives until then. */
  led(epoch: number, until: Instant): void {
    this.#led = { epoch, until };
    for (const { driver } of this.#entries.values()) driver.input({ kind: "led", epoch, until });
  }

  granted(quota: PermitQuota): void {
    const entry = this.#entries.get(quota.rollout);
    if (entry === undefined) {
      this.#early.set(quota.rollout, [...(this.#early.get(quota.rollout) ?? []), quota]);
      return;
    }
    const { epoch, wave, ttlMs } = quota;
    // A control plane from before lets all of a quota be out.
    const together = quota.together || quota.quota;
    entry.driver.input({ kind: "granted", epoch, wave, quota: quota.quota, together, ttlMs });
  }

  /** Quotas that no assignment has claimed by the end of a snapshot are forgotten. */
  snapshotEnded(): void {
    this.#early.clear();
    for (const rollout of this.#kept.keys()) {
      if (!this.#entries.has(rollout)) this.#options.journal.remove(rollout);
    }
    this.#kept.clear();
  }

  stop(): void {
    for (const { timer } of this.#away.values()) clearTimeout(timer);
    for (const { driver } of this.#entries.values()) driver.stop();
    this.#options.journal.close();
  }

  #back(agentId: string): void {
    clearTimeout(this.#away.get(agentId)?.timer);
    this.#away.delete(agentId);
  }

  #forget(session: AgentSession): void {
    for (const { driver, desk } of this.#entries.values()) {
      if (desk.members.has(session.id)) driver.input({ kind: "gone", agentId: session.id });
    }
  }

  #open(assignment: Assignment): Entry {
    const { rollout } = assignment;
    const kept = this.#kept.get(rollout) ?? [];
    this.#kept.delete(rollout);
    const { relayId } = this.#options;
    const answerMs = answerMsOf(assignment);
    // A machine takes a known id for a repeat: ids of an earlier rollout must not come again.
    const prefix = `${relayId}.${rollout}`;
    const desk = new PermitDesk(rollout, prefix, kept, monotonicNow(), answerMs);
    const entry: Entry = {
      desk,
      assignment,
      driver: new Driver(desk, { perform: (effect) => this.#perform(entry, effect) }),
      keeping: [],
      sending: [],
      isFlushing: false,
    };
    this.#entries.set(rollout, entry);
    if (this.#led !== undefined) entry.driver.input({ kind: "led", ...this.#led });
    return entry;
  }

  #close(rollout: string): void {
    this.#entries.get(rollout)?.driver.stop();
    this.#entries.delete(rollout);
    this.#options.journal.remove(rollout);
  }

  #takeEarly(rollout: string): void {
    const quotas = this.#early.get(rollout) ?? [];
    this.#early.delete(rollout);
    for (const quota of quotas) this.granted(quota);
  }

  /** Tells a service's desks how an agent stands: the one whose assignment is its own, and no other. */
  #stand(session: AgentSession, service: string, connected: boolean): void {
    const { candidate, services } = session;
    const own = this.#options.book.own(service, candidate)?.rollout;
    const status = this.#away.has(session.id) ? undefined : services.get(service);
    const standing = status && standingOf(status);
    for (const { rollout } of this.#options.book.services.get(service)?.assignments ?? []) {
      const entry = this.#entries.get(rollout);
      if (rollout === own) entry?.driver.input({ kind: "stood", candidate, standing, connected });
      else if (entry?.desk.members.has(session.id) === true) {
        entry.driver.input({ kind: "gone", agentId: session.id });
      }
    }
  }

  #perform(entry: Entry, effect: DeskEffect): void {
    switch (effect.kind) {
      case "keep":
        entry.keeping.push(effect.permit);
        break;
      case "note":
        this.#write(entry.desk.rollout, [effect.permit], false);
        this.#options.onChange();
        break;
      case "send":
        entry.sending.push(effect);
        break;
      default:
        effect satisfies never;
    }
    if (entry.isFlushing || entry.sending.length === 0) return;
    entry.isFlushing = true;
    queueMicrotask(() => this.#flush(entry));
  }

  /** Keeps all permits of a step with one fsync, and only then sends them. */
  #flush(entry: Entry): void {
    const { keeping, sending } = entry;
    entry.keeping = [];
    entry.sending = [];
    entry.isFlushing = false;
    if (this.#entries.get(entry.desk.rollout) !== entry) return;
    // What could not be kept is not sent; it runs out unused, and the leader hears so.
    if (keeping.length > 0 && !this.#write(entry.desk.rollout, keeping, true)) return;
    for (const { permit, ttlMs } of sending) {
      failpoint("relay.before-permit");
      this.#send(entry.assignment, permit, ttlMs);
      failpoint("relay.after-permit");
    }
    this.#options.onChange();
  }

  #write(rollout: string, permits: readonly KeptPermit[], durable: boolean): boolean {
    try {
      this.#options.journal.write(rollout, permits, durable);
      return true;
    } catch (error) {
      this.#options.log.error({ err: error, rollout }, "could not keep permits on disk");
      return false;
    }
  }

  #send({ service, rollout, release }: Assignment, permit: KeptPermit, ttlMs: number): void {
    const { id, agentId, epoch, wave } = permit;
    this.#options.sessions.get(agentId)?.send({
      $case: "permit",
      permit: {
        id,
        service,
        rollout,
        epoch,
        wave,
        ttlMs: Math.floor(ttlMs),
        release: release?.release ?? "",
      },
    });
  }
}
