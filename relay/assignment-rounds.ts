// Tells the agents of a relay what has changed for a service, some of them at a time: 20,000 messages in one go would
// hold up all else for a second.
import { FanOut } from "../core/fleet/fan-out.ts";
import type { Permit, ServiceAssignments } from "../proto/gen/millrace/v1/fleet.ts";
import { tellAssignments } from "./agent-commands.ts";
import type { AgentSession } from "./agent-session.ts";

/** Agents told before something else gets a turn: about 5 ms. */
const TOLD_A_TURN = 100;

export class AssignmentRounds {
  readonly #sessions: () => Iterable<AgentSession>;
  readonly #fanOut = new FanOut<AgentSession, ServiceAssignments>();
  #turn: NodeJS.Immediate | undefined;

  /** `sessions` gives those that are connected. */
  constructor(sessions: () => Iterable<AgentSession>) {
    this.#sessions = sessions;
  }

  /** All that are connected are to hear of it. */
  assigned(assignments: ServiceAssignments): void {
    this.#fanOut.say(assignments.service, assignments, this.#sessions());
    this.#turn ??= setImmediate(() => this.#tell());
  }

  /** Sends an agent a permit, and with it the assignments that it rests on, where these are still to be told. */
  permit(session: AgentSession, permit: Permit): void {
    const assignments = this.#fanOut.settle(permit.service, session);
    if (assignments === undefined) session.send({ $case: "permit", permit });
    else tellAssignments(session, assignments, permit);
  }

  stop(): void {
    clearImmediate(this.#turn);
  }

  #tell(): void {
    for (const { member, word } of this.#fanOut.next(TOLD_A_TURN)) tellAssignments(member, word);
    this.#turn = this.#fanOut.isOver ? undefined : setImmediate(() => this.#tell());
  }
}
