// A benchmark on the shaped network from its folder to its last line, and where the lab cannot run its reason.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { printFigures } from "./figures.ts";
import { LabUnavailable } from "./network.ts";

/**
 * Measures in a folder of its own within `parent`, which is removed, and prints the figures. Where the lab is not
 * available that is said, and the exit code is 1; other errors are thrown.
 */
export async function inLab(
  bench: string,
  parent: string,
  measure: (folder: string) => Promise<Readonly<Record<string, number>>>,
): Promise<void> {
  const folder = mkdtempSync(join(parent, `millrace-bench-${bench}-`));
  try {
    printFigures(bench, await measure(folder));
  } catch (error) {
    if (!(error instanceof LabUnavailable)) throw error;
    console.error(`bench ${bench}: ${error.message}`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
