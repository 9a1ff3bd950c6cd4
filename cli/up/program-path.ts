// Where each program of Millrace lies. The CLI starts programs, it never imports one.
import { fileURLToPath } from "node:url";
import { moduleUrl } from "../../runtime/module-url.ts";

export type Program = "controlplane" | "worker" | "relay" | "agent";

export const PROGRAMS: readonly Program[] = ["controlplane", "worker", "relay", "agent"];

/** Path of a program's main module. */
export function programPath(program: Program): string {
  return fileURLToPath(moduleUrl(`../../${program}/main.ts`, import.meta.url));
}
