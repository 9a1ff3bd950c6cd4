// What `millrace deploy --plan` says of a rollout beside what the rollout takes: 16 agents, their relay and the
// control plane as processes on hosts with shaped NICs, 128 MiB that nobody has, all machines in one wave. The plan
// is asked through the command line, with the NICs' rates as a user knows them, before the rollout begins.
// predict_error is the worst of the three shapes (limit 0.10). `--only flat,hetero,slowseed`, `--rounds 1`,
// `--agents 16`. Needs root and iproute2.
import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Repository, recipe } from "../test/lab/repository.ts";
import { median } from "./lab/figures.ts";
import { writeRandom } from "./lab/file.ts";
import { inLab } from "./lab/in-lab.ts";
import { LabNetwork, type NicRate } from "./lab/network.ts";
import { boundS, type Profile, ratesOf } from "./lab/profile.ts";
import { ShapedFleet } from "./lab/shaped-fleet.ts";

const FILE_BYTES = 128 * 1024 * 1024;
const MBIT = 100;
const SHAPES = ["flat", "hetero", "slowseed"] as const satisfies readonly Profile[];
/** Of `deploy --plan`: there is something to change. */
const PLAN_HAS_CHANGES = 3;

/** A rollout in seconds, as predicted and as it was. */
interface Outcome {
  readonly predictedS: number;
  readonly measuredS: number;
}

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    only: { type: "string", default: SHAPES.join(",") },
    rounds: { type: "string", default: "1" },
    agents: { type: "string", default: "16" },
    work: { type: "string", default: tmpdir() },
  },
});
const agents = Number(values.agents);
const asked = values.only.split(",");
const shapes = SHAPES.filter((shape) => asked.includes(shape));
if (shapes.length !== asked.length) {
  console.error(`--only ${values.only}: shapes are ${SHAPES.join(" ")}`);
  process.exit(2);
}
await inLab("predict", values.work, measure);

/** Every shape, as many rounds as are asked: the figures of its medians, and the worst error. */
async function measure(work: string): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  for (const shape of shapes) {
    const outcomes: Outcome[] = [];
    for (let round = 0; round < Number(values.rounds); round += 1) {
      outcomes.push(await rollOut(work, shape));
    }
    const predictedS = median(outcomes.map((one) => one.predictedS));
    const measuredS = median(outcomes.map((one) => one.measuredS));
    figures[`${shape}_predicted_s`] = predictedS;
    figures[`${shape}_measured_s`] = measuredS;
    figures[`${shape}_error`] = Math.abs(predictedS - measuredS) / measuredS;
  }
  const errors = shapes.map((shape) => figures[`${shape}_error`] as number);
  return { agents, predict_error: Math.max(...errors), ...figures };
}

/** A fresh fleet on a network of this shape: builds, asks for the plan, and rolls out. */
async function rollOut(work: string, shape: Profile): Promise<Outcome> {
  const rates = ratesOf(shape, agents, MBIT);
  const folder = join(work, shape);
  mkdirSync(folder);
  const network = LabNetwork.up(rates);
  try {
    const fleet = await ShapedFleet.start(network, folder, agents);
    try {
      const { sha } = await fleet.read<{ sha: string }>(["build", makeRepository(folder)]);
      const plan = await fleet.read<{
        readonly estimate: { readonly endMs: number; readonly stagedMs: number };
      }>(["deploy", sha, "--plan", ...rateFlags(rates)], [PLAN_HAS_CHANGES]);
      const { rollout, agents: reached } = await fleet.read<{
        readonly rollout: { readonly seconds: number };
        readonly agents: { readonly active: number };
      }>(["deploy", sha]);
      if (reached.active !== agents) throw new Error(`${reached.active} of ${agents} are active`);
      const outcome = { predictedS: plan.estimate.endMs / 1_000, measuredS: rollout.seconds };
      console.error(
        `${shape}: predicted ${outcome.predictedS.toFixed(1)} s (on all disks after ` +
          `${(plan.estimate.stagedMs / 1_000).toFixed(1)}), measured ${outcome.measuredS.toFixed(1)} s; ` +
          `the bytes need ${boundS(FILE_BYTES, rates).toFixed(1)} s at least`,
      );
      return outcome;
    } finally {
      await fleet.stop();
    }
  } finally {
    network.down();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The NICs as flags of a plan; what a machine sends is the mean of all. */
function rateFlags([relay, ...machines]: readonly NicRate[]): string[] {
  const up = machines.reduce((sum, { upMbit }) => sum + upMbit, 0) / machines.length;
  const down = Math.min(...machines.map(({ downMbit }) => downMbit));
  const flag = (name: string, mbit: number) => [`--${name}-rate`, `${mbit.toFixed(3)}mbit`];
  return [
    ...flag("machine", down),
    ...flag("machine-up", up),
    ...flag("relay", relay?.upMbit ?? MBIT),
  ];
}

/** A service of 128 MiB that no compression makes smaller; nothing but its process has to stay up. */
function makeRepository(folder: string): string {
  const path = join(folder, "repository");
  const repository = new Repository(path);
  const blob = join(folder, "blob.bin");
  writeRandom(blob, FILE_BYTES);
  repository.commit({
    "millrace.yaml": recipe({
      service: "predicted",
      run: `mkdir dist && cp ${blob} dist/blob.bin`,
      activate: { exec: ["sleep", "600"] },
      rollout: { waves: [{ percent: 100 }], maxUnavailable: 100, failures: 100 },
    }),
  });
  return path;
}
