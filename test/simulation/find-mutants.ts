// `npm run fuzz:mutants [-- --seeds N] [--only TEXT] [--json]`: plants each bug in turn and tells which seed finds it. Fails
// where fewer than 95 of 100 are found.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { findMutant } from "./find-mutant.ts";
import { MUTANTS } from "./mutants.ts";

const FOUND_PERCENT_MIN = 95;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    only: { type: "string", default: "" },
    json: { type: "boolean", default: false },
  },
});

const seeds = Number(values.seeds);
const waiting = MUTANTS.filter(({ name }) => name.includes(values.only));
const planted = waiting.length;
const missed: string[] = [];
const startedAt = performance.now();

async function work(): Promise<void> {
  for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
    const found = await findMutant(mutant, seeds);
    if (found === null) missed.push(mutant.name);
    const where = found === null ? "NOT FOUND" : `seed ${found.seed}`;
    console.log(`${where.padEnd(10)} ${mutant.name}: ${(found?.what ?? "").slice(0, 120)}`);
  }
}

await Promise.all(Array.from({ length: availableParallelism() }, () => work()));
const foundPercent = Math.round((1_000 * (planted - missed.length)) / planted) / 10;
const wallS = Math.round((performance.now() - startedAt) / 1_000);
const figures = { planted, missed: missed.length, found_percent: foundPercent, wall_s: wallS };
console.log(JSON.stringify(values.json ? { bench: "fuzz-mutants", figures } : figures));
if (foundPercent < FOUND_PERCENT_MIN) process.exitCode = 1;
