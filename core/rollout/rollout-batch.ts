// What a rollout has decided, in the order in which it is carried out: one transaction first, and only when that is
// committed what is sent. Whoever runs the machine gathers its effects and asks this for the rest.
import type { AssignPhase, RolloutEffect } from "./rollout-facts.ts";
import type { RolloutRow } from "./rollout-row.ts";

export interface RolloutBatch {
  /** Whether something is to be written. */
  readonly isWritten: boolean;
  /** The row as it is to be; undefined: as it was written last. */
  readonly row: RolloutRow | undefined;
  /** What becomes of the assignment, in order. */
  readonly phases: readonly AssignPhase[];
  /** Number of the last of these, told back to the machine when they are committed; undefined: none. */
  readonly serial: number | undefined;
  /** What is sent then. */
  readonly sends: readonly Extract<RolloutEffect, { kind: "grant" | "census" }>[];
  readonly hasEnded: boolean;
}

/** Whether the effect must be committed before later ones are performed. */
export function isWritten({ kind }: RolloutEffect): boolean {
  return kind === "persist" || kind === "assign";
}

/** Effects gathered since the last batch. */
export function batchOf(effects: readonly RolloutEffect[]): RolloutBatch {
  const assigns = effects.filter((effect) => effect.kind === "assign");
  return {
    isWritten: effects.some(isWritten),
    row: effects.findLast((effect) => effect.kind === "persist")?.row,
    phases: assigns.map(({ phase }) => phase),
    serial: assigns.at(-1)?.serial,
    sends: effects.filter((effect) => effect.kind === "grant" || effect.kind === "census"),
    hasEnded: effects.some(({ kind }) => kind === "ended"),
  };
}
