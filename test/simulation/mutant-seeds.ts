// A child of the mutants' runner: plants one bug as its module is loaded, and runs seeds until a promise is broken.
// Arguments: the mutant as JSON, the number of seeds. Prints the seed that found it as JSON, or null.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { packageRoot } from "../../runtime/package-root.ts";
import type { Mutant } from "./mutants.ts";

const { file, search, replace } = JSON.parse(process.argv[2] ?? "") as Mutant;
const seeds = Number(process.argv[3]);
const target = new URL(file, packageRoot()).href;
let isPlanted = false;

registerHooks({
  load(url, context, nextLoad) {
    if (url !== target) return nextLoad(url, context);
    isPlanted = true;
    const source = readFileSync(new URL(url), "utf8").replace(search, () => replace);
    return { format: "module-typescript", source, shortCircuit: true };
  },
});

const { runSeed } = await import("../../simulator/fleet/run-seed.ts");
assert.ok(isPlanted, `the simulator does not load ${file}`);

let found: { readonly seed: number; readonly what: string } | null = null;
for (let seed = 1; seed <= seeds && found === null; seed += 1) {
  const { violation } = runSeed(seed);
  if (violation !== undefined) found = { seed, what: violation.what };
}
console.log(JSON.stringify(found));
