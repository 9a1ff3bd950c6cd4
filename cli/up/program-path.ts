// Where each program of Millrace lies. The CLI starts programs, it never imports one.
import { fileURLToPath } from "node:url";
import { moduleUrl } from "../../runtime/module-url.ts";

export type Program = "controlplane" | "worker" | "relay" | "agent" | "swarm";

export const PROGRAMS: readonly Program[] = ["controlplane", "worker", "relay", "agent", "swarm"];

/**
 * A relay has 20,000 sessions of about 10 KB each: the room for what has just been made, which V8 lets grow to 48 MB,
 * would be 5 KB more for each of 10,000. It takes no more processor. What it does for a machine it does some times for
 * each, and the best code for it takes more to compile than it saves (decision 0028).
 */
const RELAY_FLAGS = ["--max-semi-space-size=8", "--maglev-as-top-tier"];

/**
 * A leader lives on 50 MB, but V8 lets 256 MB of garbage gather before it looks for the first time: 50,000 agents that
 * ask for a relay left 140 MB. When what is left is half as much again it is collected (decision 0028).
 */
const CONTROLPLANE_FLAGS = [
  "--max-semi-space-size=4",
  "--initial-old-space-size=32",
  "--heap-growing-percent=50",
];

/**
 * Flags of Node for a program. An agent streams, with 25 MB of live objects; without a bound V8 lets
 * garbage of 100 MB gather before it looks (200k files: peak RSS 210 MB without, 129 MB with).
 */
export function nodeFlags(program: Program): readonly string[] {
  if (program === "relay") return RELAY_FLAGS;
  if (program === "controlplane") return CONTROLPLANE_FLAGS;
  const isPeer = program === "agent" || program === "swarm";
  return isPeer ? ["--max-semi-space-size=4", "--max-old-space-size=128"] : [];
}

/** Path of a program's main module. */
export function programPath(program: Program): string {
  return fileURLToPath(moduleUrl(`../../${program}/main.ts`, import.meta.url));
}
