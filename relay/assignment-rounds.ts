// Tells the agents of a relay what has changed for a service, some of them at a time: 20,000 messages in one go would
// hold up all else for a second. What may come with a permit waits for it a little.
import { FanOut } from "../core/fleet/fan-out.ts";
import {
  type Assignment,
  AssignmentPhase,
  type Permit,
  type ServiceAssignments,
} from "../proto/gen/millrace/v1/fleet.ts";
import { tellAssignments } from "./agent-commands.ts";
import type { AgentSession } from "./agent-session.ts";
import { isQuick } from "./wire.ts";

/** Agents told before something else gets a turn: about 5 ms. */
const TOLD_A_TURN = 100;
/** A wave is drawn, reported and granted in two rounds of reports; who has no permit by then is told without. */
const HELD_MS = 2_500;

export interface AssignmentRoundsOptions {
  /** Those that are connected. */
  readonly sessions: () => Iterable<AgentSession>;
  /** Agents whose permit of this service is handed out and has its turn soon. */
  readonly permitted: (service: string) => ReadonlySet<string>;
}

export class AssignmentRounds {
  readonly #options: AssignmentRoundsOptions;
  readonly #fanOut = new FanOut<AgentSession, ServiceAssignments>();
  /** Those that take permits early, until their services' assignments have waited long enough. */
  readonly #held = new FanOut<AgentSession, ServiceAssignments>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #turn: NodeJS.Immediate | undefined;

  constructor(options: AssignmentRoundsOptions) {
    this.#options = options;
  }

  /** All that are connected are to hear of it. */
  assigned(assignments: ServiceAssignments): void {
    const { service } = assignments;
    if (mayWait(assignments)) this.#hold(assignments);
    else {
      this.#held.take(service);
      this.#say(assignments, this.#options.sessions());
    }
  }

  /** Sends an agent a permit, and with it the assignments that it rests on, where these are still to be told. */
  permit(session: AgentSession, permit: Permit): void {
    const { service } = permit;
    const assignments =
      this.#held.settle(service, session) ?? this.#fanOut.settle(service, session);
    if (assignments === undefined) session.send({ $case: "permit", permit });
    else tellAssignments(session, assignments, permit);
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    clearImmediate(this.#turn);
  }

  #hold(assignments: ServiceAssignments): void {
    const { service } = assignments;
    const mustHear = (session: AgentSession): boolean =>
      !session.takesEarly || this.#fanOut.awaits(service, session);
    const sessions = [...this.#options.sessions()];
    this.#say(assignments, sessions.filter(mustHear));
    this.#held.say(
      service,
      assignments,
      sessions.filter((session) => !mustHear(session)),
    );
    // One that is held already waits no longer for what came later.
    if (!this.#timers.has(service)) this.#time(service);
  }

  #time(service: string): void {
    const timer = setTimeout(() => this.#release(service), HELD_MS);
    this.#timers.set(service, timer);
  }

  /** Tells those that were held, but for who hears in a moment, with its permit: 10,000 permits are sent for seconds. */
  #release(service: string): void {
    this.#timers.delete(service);
    const permitted = this.#options.permitted(service);
    const held = this.#held.take(service, ({ id }) => !permitted.has(id));
    if (held !== undefined) this.#say(held.word, held.members);
    if (this.#held.awaitsAny(service)) this.#time(service);
  }

  #say(assignments: ServiceAssignments, sessions: Iterable<AgentSession>): void {
    this.#fanOut.say(assignments.service, assignments, sessions);
    this.#turn ??= setImmediate(() => this.#tell());
  }

  #tell(): void {
    for (const { member, word } of this.#fanOut.next(TOLD_A_TURN)) tellAssignments(member, word);
    this.#turn = this.#fanOut.isOver ? undefined : setImmediate(() => this.#tell());
  }
}

/**
 * Whether a machine loses nothing where it hears of it a little later, with its permit: it would wait for that anyway.
 * What is paused, taken back or stopped it hears at once.
 */
function mayWait({ assignments }: ServiceAssignments): boolean {
  const isOpen = ({ phase, paused, release }: Assignment): boolean =>
    phase === AssignmentPhase.ASSIGNMENT_PHASE_OPEN && !paused && isQuick(release);
  const isFinal = ({ phase }: Assignment): boolean =>
    phase === AssignmentPhase.ASSIGNMENT_PHASE_FINAL;
  return assignments.some(isOpen) && assignments.every((one) => isOpen(one) || isFinal(one));
}
