// `node simulator/main.ts [flags]`: one broadcast in virtual time, with `--several` several at once on the
// same hosts, with `--release` one to a whole fleet on `--workers` threads; its figures as one line of JSON.
// `node simulator/main.ts SCENARIO [flags]`, as `millrace simulate` starts it: lines of JSON that say how far it
// is, and last what it came to.
import { parseArgs } from "node:util";
import { CommandError } from "../runtime/program/exit-codes.ts";
import { Broadcast, REGION, SHAPED } from "./broadcast.ts";
import { releaseBroadcast } from "./release-broadcast.ts";
import { RELEASE } from "./release-plan.ts";
import { costSince, runScenario } from "./report.ts";
import { FIVE, severalBroadcasts } from "./several-broadcasts.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    region: { type: "boolean", default: false },
    several: { type: "boolean", default: false },
    release: { type: "boolean", default: false },
    workers: { type: "string", default: "2" },
    seed: { type: "string", default: "1" },
    agents: { type: "string" },
    html: { type: "string" },
    set: { type: "string", multiple: true, default: [] },
  },
});

/** `--set mbit=1000` changes one number of the plan. */
function changed<Plan extends object>(plan: Plan, changes: readonly string[]): Plan {
  const numbers = changes.map((change) => {
    const [name = "", value = ""] = change.split("=");
    if (typeof plan[name as keyof Plan] !== "number" || !Number.isFinite(Number(value))) {
      throw new Error(`--set ${change}: no such number in the plan`);
    }
    return [name, Number(value)] as const;
  });
  return { ...plan, ...Object.fromEntries(numbers) };
}

/** Writes one line for who started it. */
function tell(line: object): void {
  console.log(JSON.stringify(line));
}

async function runAsked(scenario: string): Promise<void> {
  const agents = values.agents === undefined ? undefined : Number(values.agents);
  const told = (share: number) => tell({ share });
  try {
    const seed = Number(values.seed);
    const asked = { scenario, seed, agents, changes: values.set, page: values.html, told };
    tell({ run: await runScenario(asked) });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    tell({ error: error.message, exitCode: error.exitCode });
  }
}

if (positionals[0] !== undefined) await runAsked(positionals[0]);
else if (values.several) {
  const plan = changed(FIVE, values.set);
  const { ratios, busy, atFirst } = severalBroadcasts(plan);
  console.log(JSON.stringify({ plan, report: { ratios, busy, atFirst } }));
} else if (values.release) {
  const startedAt = performance.now();
  const plan = changed(RELEASE, values.set);
  const { regions, ...report } = await releaseBroadcast(plan, { workers: Number(values.workers) });
  const bytes = regions.map((region) => region.bytes);
  const cost = costSince(startedAt);
  console.log(JSON.stringify({ plan, report: { ...report, bytes, ...cost } }));
} else {
  const plan = changed(values.region ? REGION : SHAPED, values.set);
  console.log(JSON.stringify({ plan, report: new Broadcast(plan).run() }));
}
