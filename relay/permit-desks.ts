// Runs the relay's permit desks (core/rollout/relay-desks.ts): tells them what agents and leader say, keeps permits
// before they are sent, and sends them. It decides nothing.
import type { Instant } from "../core/machine.ts";
import type { MoveInput, MoveTold } from "../core/rollout/newcomers.ts";
import type { PermitDesk } from "../core/rollout/permit-desk.ts";
import type { KeptPermit } from "../core/rollout/permit-ledger.ts";
import { type DesksEffect, type DesksInput, RelayDesks } from "../core/rollout/relay-desks.ts";
import type { Candidate } from "../core/rollout/targets.ts";
import type {
  Assignment,
  Permit,
  PermitQuota,
  ServiceAssignments,
} from "../proto/gen/millrace/v1/fleet.ts";
import { Driver, monotonicNow } from "../runtime/driver.ts";
import { failpoint } from "../runtime/failpoint.ts";
import type { Log } from "../runtime/log.ts";
import type { AgentSession } from "./agent-session.ts";
import type { AgentSessions } from "./agent-sessions.ts";
import type { PermitJournal } from "./permit-journal.ts";
import { deskAssignmentOf, standingOf, targetsOf } from "./wire.ts";

/** Permits sent before something else gets a turn: about 5 ms. */
const SENT_A_TURN = 100;

export interface PermitDesksOptions {
  readonly relayId: string;
  readonly sessions: AgentSessions;
  /** Sends a permit, after or beside the assignments that it rests on. */
  readonly send: (session: AgentSession, permit: Permit) => void;
  readonly journal: PermitJournal;
  readonly log: Log;
  /** A permit has ended without its machine having said something. */
  readonly onChange: () => void;
  /** Another relay is to be told of a machine. */
  readonly onMove: (told: MoveTold) => void;
}

/** A rollout's desk with what it serves. */
export interface OpenDesk {
  readonly desk: PermitDesk;
  readonly assignment: Assignment;
}

interface Sending {
  readonly permit: KeptPermit;
  readonly ttlMs: number;
}

/** Permits of one rollout to be kept in one go, then sent. */
interface Outgoing {
  readonly keeping: KeptPermit[];
  readonly sending: Sending[];
}

/** The desks of all rollouts. */
export class PermitDesks {
  readonly #options: PermitDesksOptions;
  readonly #machine: RelayDesks;
  readonly #driver: Driver<DesksInput, DesksEffect>;
  readonly #assignments = new Map<string, Assignment>();
  readonly #outgoing = new Map<string, Outgoing>();
  /** How permits ended, by rollout, to be written down together. */
  readonly #notes = new Map<string, KeptPermit[]>();
  #noting: NodeJS.Immediate | undefined;
  /** Permits that are kept and on their way. */
  readonly #queue: (Sending & { readonly assignment: Assignment; readonly at: Instant })[] = [];
  #turn: NodeJS.Immediate | undefined;

  constructor(options: PermitDesksOptions) {
    this.#options = options;
    this.#machine = new RelayDesks(options.relayId, options.journal.read());
    this.#driver = new Driver(this.#machine, { perform: (effect) => this.#perform(effect) });
  }

  /** Open desks, the newest rollout of each service first. */
  *all(): Generator<OpenDesk, void, void> {
    for (const desk of this.#machine.desks()) {
      const assignment = this.#assignments.get(desk.rollout);
      if (assignment !== undefined) yield { desk, assignment };
    }
  }

  /** Whether some permit is out. */
  get isAnyOut(): boolean {
    return this.#machine.isAnyOut;
  }

  /** Machines that are connected, or broke off a moment ago. */
  machines(): Iterable<Candidate> {
    return this.#machine.machines();
  }

  /** Whether a machine broke off a moment ago. */
  isAway(agentId: string): boolean {
    return this.#machine.isAway(agentId);
  }

  /** Agents whose permit of a service is handed out and has its turn to be sent soon. */
  onTheirWay(service: string): ReadonlySet<string> {
    const queued = this.#queue.filter(({ assignment }) => assignment.service === service);
    return new Set(queued.map(({ permit }) => permit.agentId));
  }

  /** A service's assignments have changed; undefined: there are none any more. */
  assigned(service: string, assignments: ServiceAssignments | undefined): void {
    const all = assignments?.assignments ?? [];
    for (const assignment of all) this.#assignments.set(assignment.rollout, assignment);
    const rules = all.map((one) => ({
      rollout: one.rollout,
      targets: targetsOf(one),
      assignment: deskAssignmentOf(one),
    }));
    this.#driver.input({ kind: "assigned", service, rules });
  }

  /** An agent has come. */
  joined({ candidate, hello, services, takesEarly }: AgentSession): void {
    const all = [...services].map(([service, status]) => [service, standingOf(status)] as const);
    const whence = { session: hello, from: hello.relayBefore || undefined };
    const standings = new Map(all);
    this.#driver.input({ kind: "joined", candidate, ...whence, standings, takesEarly });
  }

  /** Something that decides which relay a machine counts at. */
  moved(fact: MoveInput): void {
    this.#driver.input(fact);
  }

  /** An agent has said something of a service. */
  heard({ id: agentId, services }: AgentSession, service: string): void {
    const status = services.get(service);
    if (status === undefined) return;
    this.#driver.input({ kind: "heard", agentId, service, standing: standingOf(status) });
  }

  /** An agent is offline; it may be back in a moment. */
  gone({ id }: AgentSession): void {
    this.#driver.input({ kind: "gone", agentId: id });
  }

  /** The leader lives until then. */
  led(epoch: number, until: Instant): void {
    this.#driver.input({ kind: "led", epoch, until });
  }

  granted({ rollout, epoch, wave, quota, together, ttlMs }: PermitQuota): void {
    // A control plane from before lets all of a quota be out.
    const most = together || quota;
    this.#driver.input({ kind: "granted", rollout, epoch, wave, quota, together: most, ttlMs });
  }

  /** What no assignment has claimed by the end of a snapshot is forgotten. */
  snapshotEnded(): void {
    this.#driver.input({ kind: "snapshot-ended" });
  }

  /** Hands out nothing more: this relay is ending, and what it had left is for others. */
  close(): void {
    this.#driver.input({ kind: "closed" });
  }

  stop(): void {
    this.#driver.stop();
    clearImmediate(this.#turn);
    clearImmediate(this.#noting);
    this.#writeNotes();
    this.#options.journal.close();
  }

  #perform(effect: DesksEffect): void {
    switch (effect.kind) {
      case "keep":
        this.#out(effect.rollout).keeping.push(effect.permit);
        return;
      case "send":
        this.#out(effect.rollout).sending.push(effect);
        return;
      case "note":
        this.#note(effect.rollout, effect.permit);
        return;
      case "forget":
        this.#assignments.delete(effect.rollout);
        this.#outgoing.delete(effect.rollout);
        this.#notes.delete(effect.rollout);
        this.#options.journal.remove(effect.rollout);
        return;
      case "changed":
        this.#options.onChange();
        return;
      case "claim":
      case "cede":
        this.#options.onMove(effect);
        return;
      case "let":
        this.#options.sessions.let(effect.agentId);
        return;
      default:
        effect satisfies never;
    }
  }

  #out(rollout: string): Outgoing {
    const known = this.#outgoing.get(rollout);
    if (known !== undefined) return known;
    const outgoing = { keeping: [], sending: [] };
    this.#outgoing.set(rollout, outgoing);
    queueMicrotask(() => this.#flush(rollout, outgoing));
    return outgoing;
  }

  /** Keeps all permits of a step with one fsync, and only then sends them. */
  #flush(rollout: string, outgoing: Outgoing): void {
    const assignment = this.#assignments.get(rollout);
    if (assignment === undefined || this.#outgoing.get(rollout) !== outgoing) return;
    this.#outgoing.delete(rollout);
    const { keeping, sending } = outgoing;
    // What could not be kept is not sent; it runs out unused, and the leader hears so.
    if (keeping.length > 0 && !this.#write(rollout, keeping, true)) return;
    const at = monotonicNow();
    for (const one of sending) this.#queue.push({ ...one, assignment, at });
    if (this.#turn === undefined) this.#sendSome();
    this.#options.onChange();
  }

  /** A machine counts its time from when the permit comes, the desk from when it was handed out. */
  #sendSome(): void {
    const now = monotonicNow();
    for (const { permit, ttlMs, assignment, at } of this.#queue.splice(0, SENT_A_TURN)) {
      failpoint("relay.before-permit");
      const leftMs = Math.floor(ttlMs - (now - at));
      if (leftMs > 0) this.#send(assignment, permit, leftMs);
      failpoint("relay.after-permit");
    }
    this.#turn = this.#queue.length > 0 ? setImmediate(() => this.#sendSome()) : undefined;
  }

  /** Written once for all that is heard in one go: of 10,000 answers each would be a call of the system. */
  #note(rollout: string, permit: KeptPermit): void {
    const known = this.#notes.get(rollout);
    if (known === undefined) this.#notes.set(rollout, [permit]);
    else known.push(permit);
    this.#noting ??= setImmediate(() => this.#writeNotes());
  }

  #writeNotes(): void {
    this.#noting = undefined;
    for (const [rollout, permits] of this.#notes) this.#write(rollout, permits, false);
    this.#notes.clear();
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
    const session = this.#options.sessions.get(agentId);
    if (session === undefined) return;
    this.#options.send(session, {
      id,
      service,
      rollout,
      epoch,
      wave,
      ttlMs,
      release: release?.release ?? "",
    });
  }
}
