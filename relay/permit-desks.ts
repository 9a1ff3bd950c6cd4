// Runs the relay's permit desks (core/rollout/relay-desks.ts): tells them what agents and leader say, keeps permits
// before they are sent, and sends them. It decides nothing.
import type { Instant } from "../core/machine.ts";
import type { PermitDesk } from "../core/rollout/permit-desk.ts";
import type { KeptPermit } from "../core/rollout/permit-ledger.ts";
import { type DesksEffect, type DesksInput, RelayDesks } from "../core/rollout/relay-desks.ts";
import type { Candidate } from "../core/rollout/targets.ts";
import type {
  Assignment,
  PermitQuota,
  ServiceAssignments,
} from "../proto/gen/millrace/v1/fleet.ts";
import { Driver } from "../runtime/driver.ts";
import { failpoint } from "../runtime/failpoint.ts";
import type { Log } from "../runtime/log.ts";
import type { AgentSession } from "./agent-session.ts";
import type { AgentSessions } from "./agent-sessions.ts";
import type { PermitJournal } from "./permit-journal.ts";
import { deskAssignmentOf, standingOf, targetsOf } from "./wire.ts";

export interface PermitDesksOptions {
  readonly relayId: string;
  readonly sessions: AgentSessions;
  /** The agent is to know the service's assignments before it gets a permit under them. */
  readonly settle: (session: AgentSession, service: string) => void;
  readonly journal: PermitJournal;
  readonly log: Log;
  /** A permit has ended without its machine having said something. */
  readonly onChange: () => void;
}

/** A rollout's desk with what it serves. */
export interface OpenDesk {
  readonly desk: PermitDesk;
  readonly assignment: Assignment;
}

/** Permits of one rollout to be kept, then sent, all in one go. */
interface Outgoing {
  readonly keeping: KeptPermit[];
  readonly sending: { readonly permit: KeptPermit; readonly ttlMs: number }[];
}

/** The desks of all rollouts. */
export class PermitDesks {
  readonly #options: PermitDesksOptions;
  readonly #machine: RelayDesks;
  readonly #driver: Driver<DesksInput, DesksEffect>;
  readonly #assignments = new Map<string, Assignment>();
  readonly #outgoing = new Map<string, Outgoing>();

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
  joined({ candidate, services }: AgentSession): void {
    const all = [...services].map(([service, status]) => [service, standingOf(status)] as const);
    this.#driver.input({ kind: "joined", candidate, standings: new Map(all) });
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
        this.#write(effect.rollout, [effect.permit], false);
        return;
      case "forget":
        this.#assignments.delete(effect.rollout);
        this.#outgoing.delete(effect.rollout);
        this.#options.journal.remove(effect.rollout);
        return;
      case "changed":
        this.#options.onChange();
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
    for (const { permit, ttlMs } of sending) {
      failpoint("relay.before-permit");
      this.#send(assignment, permit, ttlMs);
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
    const session = this.#options.sessions.get(agentId);
    if (session === undefined) return;
    this.#options.settle(session, service);
    session.send({
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
