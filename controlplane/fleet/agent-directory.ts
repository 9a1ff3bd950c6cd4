// Finds machines: nobody but relays has a list of them, so every question goes to the relays and the
// answers are merged by id. A relay that does not answer in time makes the read unavailable, not stale.
import type { AgentAnswer, AgentInfo } from "../../proto/gen/millrace/v1/fleet.ts";
import { unavailable } from "../../runtime/grpc/rpc-error.ts";
import type { RelayHub } from "./relay-hub.ts";

/** A relay answers from memory. */
const ANSWER_MS_MAX = 2_000;

export interface AgentQuestion {
  /** Only this region's; empty: all. */
  readonly region: string;
  readonly prefix: string;
  /** Only ids behind this. */
  readonly after: string;
  readonly limit: number;
  readonly failingOnly: boolean;
}

interface Pending {
  readonly relay: string;
  readonly agents: AgentInfo[];
  readonly done: (agents: AgentInfo[] | undefined) => void;
}

export class AgentDirectory {
  readonly #hub: RelayHub;
  readonly #pending = new Map<number, Pending>();
  #query = 0;

  constructor(hub: RelayHub) {
    this.#hub = hub;
  }

  /** The first machines by id, one more than asked for where there are more; UNAVAILABLE in time. */
  async find(question: AgentQuestion): Promise<AgentInfo[]> {
    const relays = this.#hub.sessions.filter(
      ({ region }) => question.region === "" || region === question.region,
    );
    const answers = await Promise.all(relays.map(({ relay }) => this.#ask(relay, question)));
    const silent = relays.filter((_, index) => answers[index] === undefined);
    if (silent.length > 0) {
      const names = silent.map(({ relay }) => relay).join(", ");
      throw unavailable(`no answer from ${names} within ${ANSWER_MS_MAX} ms; try again`);
    }
    const byId = new Map<string, AgentInfo>();
    for (const agent of answers.flatMap((answer) => answer ?? [])) {
      // A machine that has moved may be at two relays for a moment; the later connection holds.
      const known = byId.get(agent.id);
      if (known === undefined || known.connectedAtMs <= agent.connectedAtMs) {
        byId.set(agent.id, agent);
      }
    }
    return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, question.limit + 1);
  }

  answered(relay: string, { query, agents, last }: AgentAnswer): void {
    const pending = this.#pending.get(query);
    if (pending?.relay !== relay) return;
    pending.agents.push(...agents);
    if (last) pending.done(pending.agents);
  }

  /** A relay has gone and will not answer. */
  left(relay: string): void {
    for (const pending of this.#pending.values()) {
      if (pending.relay === relay) pending.done(undefined);
    }
  }

  #ask(relay: string, question: AgentQuestion): Promise<AgentInfo[] | undefined> {
    this.#query += 1;
    const query = this.#query;
    return new Promise((resolve) => {
      const timer = setTimeout(() => done(undefined), ANSWER_MS_MAX);
      const done = (agents: AgentInfo[] | undefined): void => {
        clearTimeout(timer);
        this.#pending.delete(query);
        resolve(agents);
      };
      this.#pending.set(query, { relay, agents: [], done });
      const { prefix, after, limit, failingOnly } = question;
      const agents = { query, prefix, after, limit: limit + 1, failingOnly };
      this.#hub.send(relay, { $case: "agents", agents });
    });
  }
}
