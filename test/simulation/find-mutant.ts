// Runs the fault swarm with one planted bug, in a process of its own.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Mutant } from "./mutants.ts";

const CHILD = fileURLToPath(new URL("./mutant-seeds.ts", import.meta.url));

export interface Found {
  readonly seed: number;
  readonly what: string;
}

/** The first seed that finds it; null: none of so many does. */
export async function findMutant(mutant: Mutant, seeds: number): Promise<Found | null> {
  const args = [CHILD, JSON.stringify(mutant), String(seeds)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as Found | null;
}
