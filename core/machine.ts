// The one seam between logic and the world: a machine takes facts, gives commands, and says when it
// wants to be woken. `runtime/driver.ts` runs one in a real process, `simulator/` runs many.

/** A point in time in milliseconds on a monotonic clock; only differences mean anything. */
export type Instant = number;

/** A participant as arithmetic on plain data. */
export interface Machine<Input, Effect> {
  /** Takes one fact and appends the commands that follow from it; runs to completion. */
  step(now: Instant, input: Input, effects: Effect[]): void;
  /** When to step it with `{ kind: "wake" }`; Infinity: nothing is due. May change with each step. */
  readonly deadline: Instant;
}
