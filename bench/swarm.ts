// `millrace swarm` on a shaped network of this machine's own, beside libtorrent and aria2 in the same run:
// how near the last peer comes to the least time that any system needs. Needs root, iproute2, and for the
// others the Debian packages aria2 and python3-libtorrent; --only picks cases, --systems who takes part.
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median } from "./lab/figures.ts";
import { writeRandom } from "./lab/file.ts";
import type { CpuSeconds } from "./lab/host-process.ts";
import { inLab } from "./lab/in-lab.ts";
import { millrace } from "./lab/millrace-contestant.ts";
import { type RaceResult, race } from "./lab/race.ts";
import { severalSwarms } from "./lab/several-swarms.ts";
import {
  planOf,
  SWARM_CASES,
  type SwarmCase,
  simulationError,
  URGENT_CASE,
} from "./lab/swarm-cases.ts";

interface Options {
  readonly work: string;
  readonly rounds: number;
  readonly systems: readonly string[] | undefined;
}

/** Races the contestants of a case in turn, as many rounds as are asked, and gives its figures. */
async function runCase(
  one: SwarmCase,
  options: Options,
): Promise<Readonly<Record<string, number>>> {
  const contestants = one.contestants.filter(({ name }) => options.systems?.includes(name) ?? true);
  const present = contestants.filter((contestant) => {
    const missing = contestant.missing();
    if (missing !== undefined)
      console.error(`${one.name}: ${contestant.name} left out, ${missing}`);
    return missing === undefined;
  });
  const source = join(options.work, "blob.bin");
  writeRandom(source, one.fileBytes);
  const results = new Map<string, RaceResult[]>(present.map(({ name }) => [name, []]));
  for (let round = 0; round < options.rounds; round += 1) {
    for (const contestant of present) {
      const plan = planOf(one, contestant, { source, folder: join(options.work, "race") });
      const result = await race(plan);
      results.get(contestant.name)?.push(result);
      console.error(`${one.name}: ${describe(result)}`);
    }
  }
  const error = simulationError(one, results);
  return { ...one.figures(results), ...(error !== undefined && { sim_error: error }) };
}

/** Several swarms at once, each round after one such file alone. */
async function runUrgent({ work, rounds }: Options): Promise<Readonly<Record<string, number>>> {
  const source = join(work, "blob.bin");
  writeRandom(source, URGENT_CASE.fileBytes);
  const folder = join(work, "race");
  const ratios: number[] = [];
  const busy: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const alone = await race(planOf(URGENT_CASE, millrace, { source, folder }));
    const several = await severalSwarms({ ...URGENT_CASE, folder });
    ratios.push((several.endS[0] as number) / alone.lastS);
    busy.push(several.busy);
    const ends = several.endS.map((end) => end.toFixed(1)).join(" ");
    console.error(
      `urgent: alone ${alone.lastS.toFixed(1)} s, ${several.endS.length} at once, the urgent first: ` +
        `${ends} s, uplinks busy until the first was through ` +
        `${percents([several.busy])} %, by fifths ${percents(several.busyFifths)} %`,
    );
  }
  return { urgent_ratio: median(ratios), busy: median(busy) };
}

function describe(result: RaceResult): string {
  const { contestant, lastS, medianS, boundS, newcomerS, writtenS, seedCopies } = result;
  return [
    `${contestant} ${lastS.toFixed(1)} s (median ${medianS.toFixed(1)})`,
    boundS > 0 ? `${(lastS / boundS).toFixed(2)}x of ${boundS.toFixed(1)} s` : "",
    newcomerS > 0 ? `newcomers ${newcomerS.toFixed(1)} s` : "",
    writtenS > 0 ? `written ${writtenS.toFixed(2)} s` : "",
    `seed sent ${seedCopies.toFixed(2)} files`,
    boundS > 0 ? `uplinks busy by fifths: seed ${percents(result.seedBusy)} %` : "",
    boundS > 0 ? `peers ${percents(result.peersBusy)} %` : "",
    `cpu seed ${seconds(result.seedCpu)}, peers ${seconds(result.peersCpu)}`,
    `machine idle ${Math.round(100 * result.idle)} %`,
    `rss ${result.peerRssMb.toFixed(0)} MB`,
  ]
    .filter((part) => part !== "")
    .join(", ");
}

function percents(shares: readonly number[]): string {
  return shares.map((share) => `${Math.round(share * 100)}`).join(" ");
}

function seconds({ user, system }: CpuSeconds): string {
  return `${user.toFixed(1)} s user + ${system.toFixed(1)} s system`;
}

/** What runs each case, by its name. */
const runners = new Map<string, (options: Options) => Promise<Readonly<Record<string, number>>>>([
  ...SWARM_CASES.map((one) => [one.name, (options: Options) => runCase(one, options)] as const),
  ["urgent", runUrgent],
]);

const { values } = parseArgs({
  options: {
    json: { type: "boolean" },
    only: { type: "string" },
    systems: { type: "string" },
    rounds: { type: "string", default: "3" },
    work: { type: "string", default: tmpdir() },
  },
});
const names = values.only?.split(",") ?? [...runners.keys()];
if (!names.every((name) => runners.has(name))) {
  console.error(`--only ${values.only}: cases are ${[...runners.keys()].join(" ")}`);
  process.exit(2);
}
await inLab("swarm", values.work, async (work) => {
  const systems = values.systems?.split(",");
  const figures: Record<string, number> = {};
  for (const name of names) {
    const found = await runners.get(name)?.({ work, systems, rounds: Number(values.rounds) });
    // Of the cases that are simulated the worst counts.
    const error = Math.max(figures["sim_error"] ?? 0, found?.["sim_error"] ?? 0);
    Object.assign(figures, found, error > 0 && { sim_error: error });
  }
  return figures;
});
