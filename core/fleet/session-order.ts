// Which of two connections of one agent is the later one, whichever relays they lead to: that one holds.

/** One connection of an agent. */
export interface SessionOrder {
  /** Random at each start of the agent. */
  readonly boot: string;
  /** By the agent's wall clock, Unix milliseconds: when that start was. */
  readonly startedAtMs: number;
  /** Rises with each connection of the start. */
  readonly connect: number;
}

/** Whether the one is a later connection than the other. */
export function isLater(one: SessionOrder, other: SessionOrder): boolean {
  if (one.boot === other.boot) return one.connect > other.connect;
  if (one.startedAtMs !== other.startedAtMs) return one.startedAtMs > other.startedAtMs;
  return one.boot > other.boot;
}
