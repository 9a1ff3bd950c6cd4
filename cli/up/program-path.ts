// Where each program of Millrace lies. The CLI starts programs, it never imports one.
import { fileURLToPath } from "node:url";
import { moduleUrl } from "../../runtime/module-url.ts";

export type Program = "controlplane" | "worker" | "relay" | "agent" | "swarm";

export const PROGRAMS: readonly Program[] = ["controlplane", "worker", "relay", "agent", "swarm"];

/**
 * Flags of Node for a program. An agent streams, with 25 MB of live objects; without a bound V8 lets
 * garbage of 100 MB gather before it looks (200k files: peak RSS 210 MB without, 129 MB with).
 */
export function nodeFlags(program: Program): readonly string[] {
  const isPeer = program === "agent" || program === "swarm";
  return isPeer ? ["--max-semi-space-size=4", "--max-old-space-size=128"] : [];
}

/** Path of a program's main module. */
export function programPath(program: Program): string {
  return fileURLToPath(moduleUrl(`../../${program}/main.ts`, import.meta.url));
}
