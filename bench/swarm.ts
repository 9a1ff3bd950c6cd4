// `millrace swarm` on a shaped network of this machine's own, beside libtorrent and aria2 in the same run:
// how near the last peer comes to the least time that any system needs. Needs root, iproute2, and for the
// others the Debian packages aria2 and python3-libtorrent; --only picks cases, --systems who takes part.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { printFigures } from "./lab/figures.ts";
import { writeRandom } from "./lab/file.ts";
import { LabUnavailable } from "./lab/network.ts";
import { type RaceResult, race } from "./lab/race.ts";
import { planOf, SWARM_CASES, type SwarmCase } from "./lab/swarm-cases.ts";

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
  return one.figures(results);
}

function describe(result: RaceResult): string {
  const { contestant, lastS, medianS, boundS, newcomerS, writtenS, seedCopies } = result;
  const percents = (shares: readonly number[]) =>
    shares.map((share) => `${Math.round(share * 100)}`).join(" ");
  return [
    `${contestant} ${lastS.toFixed(1)} s (median ${medianS.toFixed(1)})`,
    boundS > 0 ? `${(lastS / boundS).toFixed(2)}x of ${boundS.toFixed(1)} s` : "",
    newcomerS > 0 ? `newcomers ${newcomerS.toFixed(1)} s` : "",
    writtenS > 0 ? `written ${writtenS.toFixed(2)} s` : "",
    `seed sent ${seedCopies.toFixed(2)} files`,
    boundS > 0 ? `uplinks busy by fifths: seed ${percents(result.seedBusy)} %` : "",
    boundS > 0 ? `peers ${percents(result.peersBusy)} %` : "",
    `cpu seed ${result.seedCpuS.toFixed(1)} s, peers ${result.peersCpuS.toFixed(1)} s`,
    `machine idle ${Math.round(100 * result.idle)} %`,
    `rss ${result.peerRssMb.toFixed(0)} MB`,
  ]
    .filter((part) => part !== "")
    .join(", ");
}

/** The cases of these names; undefined where one is unknown. */
function chosen(only: string | undefined): readonly SwarmCase[] | undefined {
  if (only === undefined) return SWARM_CASES;
  const names = only.split(",");
  const found = SWARM_CASES.filter(({ name }) => names.includes(name));
  return found.length === names.length ? found : undefined;
}

const { values } = parseArgs({
  options: {
    json: { type: "boolean" },
    only: { type: "string" },
    systems: { type: "string" },
    rounds: { type: "string", default: "3" },
    work: { type: "string", default: tmpdir() },
  },
});
const cases = chosen(values.only);
if (cases === undefined) {
  console.error(
    `--only ${values.only}: cases are ${SWARM_CASES.map(({ name }) => name).join(" ")}`,
  );
  process.exit(2);
}
const work = mkdtempSync(join(values.work, "millrace-bench-swarm-"));
const figures: Record<string, number> = {};
try {
  const systems = values.systems?.split(",");
  for (const one of cases) {
    Object.assign(figures, await runCase(one, { work, systems, rounds: Number(values.rounds) }));
  }
  printFigures("swarm", figures);
} catch (error) {
  if (!(error instanceof LabUnavailable)) throw error;
  console.error(`bench swarm: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
