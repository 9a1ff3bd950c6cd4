// What waits to be sent to one relay: bounded, and newest wins where a later command replaces an
// earlier one (a service's assignments, a wave's quota at this relay, a pack's progress).
import type { ConnectRelayResponse } from "../../proto/gen/millrace/v1/fleet.ts";

/** Keys waiting for one relay: packs of 1,000 services (8 each), their assignments, and room. */
const WAITING_MAX = 20_000;

export type Command = NonNullable<ConnectRelayResponse["command"]>;

export class Outbox {
  readonly #write: (command: Command) => boolean;
  readonly #waiting = new Map<string, Command>();
  #isFull = false;

  /** `write` answers false where the reader is slow; `drained` must be called when it goes on. */
  constructor(write: (command: Command) => boolean) {
    this.#write = write;
  }

  /** Sends, or keeps until the reader goes on; false: too much waits, give the relay up. */
  push(command: Command): boolean {
    this.#waiting.set(keyOf(command), command);
    if (this.#waiting.size > WAITING_MAX) return false;
    if (!this.#isFull) this.#flush();
    return true;
  }

  drained(): void {
    this.#isFull = false;
    this.#flush();
  }

  #flush(): void {
    for (const [key, command] of this.#waiting) {
      this.#waiting.delete(key);
      if (this.#write(command)) continue;
      this.#isFull = true;
      return;
    }
  }
}

/** Commands with the same key replace each other. */
function keyOf(command: Command): string {
  switch (command.$case) {
    case "heartbeat":
    case "siblings":
    case "reconnect":
    case "recall":
    case "snapshotEnd":
      return command.$case;
    case "assignments":
      return `assignments/${command.assignments.service}`;
    case "order":
      return `order/${command.order.id}`;
    case "orderEnded":
      return `order/${command.orderEnded.id}`;
    case "pack":
      return `pack/${command.pack.pack}`;
    case "quota":
      return `quota/${command.quota.rollout}/${command.quota.wave}`;
    case "census":
      return `census/${command.census.rollout}`;
    case "agents":
      return `agents/${command.agents.query}`;
    case "uses":
      return `uses/${command.uses.query}`;
    default:
      return command satisfies never;
  }
}
