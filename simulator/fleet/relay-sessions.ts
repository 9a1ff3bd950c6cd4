// The agents of one simulated relay, one session each: who came, what it said, who went, and which assignments each is
// told. Of two sessions of one agent the newer one holds.
import { isLater } from "../../core/fleet/session-order.ts";
import { isTarget } from "../../core/rollout/targets.ts";
import type { End } from "./lines.ts";
import type { AgentSays, Assignments, RelayTells, Status } from "./messages.ts";

export type AgentLine = End<AgentSays, RelayTells>;
type Hello = Extract<AgentSays, { kind: "hello" }>;

export interface Session {
  readonly agentId: string;
  readonly hello: Hello;
  readonly line: AgentLine;
  readonly toldServices: Set<string>;
  /** What it said last of each service. */
  readonly statuses: Map<string, Status>;
}

export interface RelaySessionsOptions {
  readonly onJoined: (session: Session) => void;
  readonly onStatus: (agentId: string, status: Status) => void;
  readonly onSwarm: (session: Session, pack: string, joined: boolean) => void;
  readonly onGone: (agentId: string) => void;
}

export class RelaySessions {
  readonly #options: RelaySessionsOptions;
  readonly #sessions = new Map<string, Session>();

  constructor(options: RelaySessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get(agentId: string): Session | undefined {
    return this.#sessions.get(agentId);
  }

  all(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** What all agents said last. */
  *statuses(): Generator<Status, void, void> {
    for (const { statuses } of this.#sessions.values()) yield* statuses.values();
  }

  /** The agent is connected to another relay: what is left of its session here ends. */
  let(agentId: string): void {
    const session = this.#sessions.get(agentId);
    if (session === undefined) return;
    this.#let(session);
    session.line.close();
  }

  accept(line: AgentLine): void {
    line.onMessage = (message) => {
      if (message.kind === "hello") this.#join(line, message);
    };
  }

  /** Tells an agent of a service where it concerns it, or did. */
  tell(session: Session, assignments: Assignments): void {
    const { service, rules } = assignments;
    const { toldServices, hello, line } = session;
    const concerns = rules.some(({ targets, excludedRegions }) =>
      isTarget(hello.candidate, { labels: targets, excludedRegions }),
    );
    if (!concerns && !toldServices.has(service)) return;
    toldServices.add(service);
    line.send({ kind: "assignments", assignments }, true);
  }

  #join(line: AgentLine, hello: Hello): void {
    const { agentId } = hello.candidate;
    const before = this.#sessions.get(agentId);
    if (before !== undefined) {
      if (!isLater(hello.session, before.hello.session)) {
        line.close();
        return;
      }
      this.#let(before);
      before.line.close();
    }
    const statuses = new Map(hello.statuses.map((status) => [status.service, status]));
    const session: Session = { agentId, hello, line, toldServices: new Set(), statuses };
    this.#sessions.set(agentId, session);
    line.onGone = () => this.#let(session);
    line.onMessage = (message) => {
      if (message.kind === "status") {
        statuses.set(message.status.service, message.status);
        this.#options.onStatus(agentId, message.status);
      } else if (message.kind === "swarm") {
        this.#options.onSwarm(session, message.pack, message.joined);
      }
    };
    this.#options.onJoined(session);
  }

  #let(session: Session): void {
    if (this.#sessions.get(session.agentId) !== session) return;
    this.#sessions.delete(session.agentId);
    this.#options.onGone(session.agentId);
  }
}
