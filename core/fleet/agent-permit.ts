// Whether a permit holds for this machine. The agent checks what relay and leader have checked
// before: a wave is a rule, and whoever is not in it must not switch.
import { type Candidate, waveOf } from "../rollout/targets.ts";
import { waveHash } from "../rollout/wave-hash.ts";
import type { Assignment, Permit } from "./agent-facts.ts";
import type { Journal } from "./agent-journal.ts";

/** Why the permit does not hold under the assignment, or undefined. `epoch`: the highest seen. */
export function permitFault(
  permit: Permit,
  assignment: Assignment | undefined,
  epoch: number,
  candidate: Candidate,
): string | undefined {
  if (assignment === undefined) return "no assignment is for this machine";
  if (permit.epoch < epoch) return `its epoch ${permit.epoch} is below ${epoch}`;
  if (permit.rollout !== assignment.rollout) {
    return `it is for rollout ${permit.rollout}, assigned is ${assignment.rollout}`;
  }
  if (permit.release !== (assignment.release?.release ?? "")) {
    return `it is for release ${permit.release}, assigned is ${assignment.release?.release}`;
  }
  if (assignment.phase !== "open") return `the rollout is ${assignment.phase}`;
  if (assignment.paused) return "the rollout is paused";
  const hash = waveHash(candidate.agentId, permit.rollout);
  const wave = waveOf(candidate, hash, assignment.waves);
  if (wave === undefined || wave > permit.wave) return `this machine is not in wave ${permit.wave}`;
  return undefined;
}

/** Why this machine cannot act under a permit that holds, or undefined. */
export function unreadiness(permit: Permit, { outcome }: Journal): string | undefined {
  const hasFailed = outcome?.kind === "failed" && outcome.rollout === permit.rollout;
  return hasFailed ? "it has failed here under this rollout" : undefined;
}
